"""What a JSON schema says about an argument, and how its text is read; no Textual here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "code", "integer", "number", "boolean", "choice", "json"]

CODE_ARGUMENTS = frozenset({"content", "command", "old", "new", "code", "patch"})


class Absent:
    """The value of an argument that the call does not have."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Spec:
    """One argument: how it is edited and what it may be."""

    name: str
    kind: Kind
    required: bool
    known: bool = True
    description: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    language: str | None = None

    @property
    def described(self) -> str:
        """Say in a few words what the argument is."""
        if not self.known:
            return "not an argument"
        words: dict[Kind, str] = {"integer": "whole number", "number": "number", "json": "JSON"}
        word = words.get(self.kind, "")
        need = "" if self.required or self.kind == "boolean" else "may be empty"
        return " · ".join(part for part in (word, need) if part)


def specs_of(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[Spec]:
    """Give a spec for each argument of the schema, then for those that only the call has."""
    properties = schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    required = schema.get("required") or ()
    specs = [
        _spec(str(name), rule if isinstance(rule, Mapping) else {}, name in required, arguments)
        for name, rule in properties.items()
    ]
    extra = [name for name in arguments if name not in properties]
    return specs + [Spec(name, "json", required=False, known=False) for name in extra]


def _spec(name: str, rule: Mapping[str, Any], required: bool, arguments: Mapping[str, Any]) -> Spec:
    types = rule.get("type", "string")
    types = types if isinstance(types, list) else [types]
    wanted = next((each for each in types if each != "null"), "string")
    value = arguments.get(name)
    choices = rule.get("enum")
    kind: Kind = "json"
    if isinstance(choices, list) and all(isinstance(choice, str) for choice in choices):
        kind = "choice"
    elif wanted == "string":
        code = name in CODE_ARGUMENTS or (isinstance(value, str) and "\n" in value)
        kind = "code" if code else "text"
    elif wanted in ("integer", "number", "boolean"):
        kind = wanted
    if kind == "boolean" and name in arguments and not isinstance(value, bool):
        kind = "json"
    return Spec(
        name,
        kind,
        required,
        description=str(rule.get("description", "")),
        choices=tuple(choices or ()) if kind == "choice" else (),
        minimum=rule.get("minimum"),
        maximum=rule.get("maximum"),
        language="bash" if name == "command" else "json" if kind == "json" else None,
    )


def fits(kind: Kind, value: object) -> bool:
    """Say whether a value can be edited as this kind without loss."""
    if kind in ("text", "code", "choice"):
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return True


def text_of(spec: Spec, value: object) -> str:
    """Give the text that an editor shows for a value."""
    if value is ABSENT:
        return "false" if spec.kind == "boolean" else ""
    if isinstance(value, str) and spec.kind != "json":
        return value
    return json.dumps(value, ensure_ascii=False, indent=2 if spec.kind == "json" else None)


def parse(spec: Spec, text: str, first: object) -> tuple[object, str | None]:
    """Give the value that a text stands for, or ABSENT, and what is wrong with it.

    ``first`` is the agent's value; as long as the text is still the one that stands for it, it
    is given back as it is.
    """
    untouched = text == text_of(spec, first)
    if untouched and (first is ABSENT or fits(spec.kind, first)):
        value = "" if first is ABSENT and spec.kind == "code" and spec.required else first
    elif untouched and spec.kind in ("text", "code", "choice"):
        return first, f"{spec.name} must be text."
    else:
        value, problem = _read(spec, text)
        if problem is not None:
            return value, problem
    return value, complaint(spec, value)


def _read(spec: Spec, text: str) -> tuple[object, str | None]:
    if spec.kind in ("text", "code"):
        return (text if text or spec.required else ABSENT), None
    if spec.kind == "boolean":
        return text == "true", None
    if not text.strip():
        return ABSENT, None
    readers: dict[Kind, tuple[Callable[[str], object], str]] = {
        "integer": (int, "a whole number"),
        "number": (float, "a number"),
        "json": (json.loads, "JSON"),
    }
    read, word = readers.get(spec.kind, (str, "text"))
    try:
        return read(text), None
    except (ValueError, RecursionError):
        return text, f"{spec.name} must be {word}."


def complaint(spec: Spec, value: object) -> str | None:
    """Say in one sentence what is wrong with a value."""
    name = spec.name
    if not spec.known:
        return (
            None
            if value is ABSENT
            else f"The tool has no argument {name}; empty the field to leave it out."
        )
    if value is ABSENT:
        return f"{name} is missing." if spec.required else None
    if spec.choices and value not in spec.choices:
        return f"{name} must be one of {', '.join(spec.choices)}."
    if isinstance(value, int | float) and not isinstance(value, bool):
        if spec.minimum is not None and value < spec.minimum:
            return f"{name} must be at least {spec.minimum}."
        if spec.maximum is not None and value > spec.maximum:
            return f"{name} must be at most {spec.maximum}."
    return None
