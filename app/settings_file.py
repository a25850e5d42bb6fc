"""The settings as a person looks at them and changes them: each with its line, value and source.

A change goes into the user's own file, which keeps its comments, and holds from the next start.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import platformdirs

from . import settings as module
from .settings import PREFIX, Settings, SettingsError, load_settings
from .store.paths import APP_NAME

Source = Literal["argument", "environment", "file", "default"]
ELSEWHERE: frozenset[str] = frozenset({"data_dir", "worker_command", "keymap"})
"""Settings that are changed in the file by hand, as a mistake in them is not easily taken back."""


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One setting: what it is now, where that comes from, and what it may be."""

    name: str
    value: str
    source: Source
    words: str
    choices: tuple[str, ...]
    editable: bool


def lines(
    settings: Settings, arguments: Mapping[str, str], in_file: Mapping[str, Any]
) -> list[SettingLine]:
    """Every setting in the order in which it is declared."""
    words = _words()
    environment = {name.upper() for name in os.environ}
    found: list[SettingLine] = []
    for name, field in Settings.model_fields.items():
        source: Source = "default"
        if name in arguments:
            source = "argument"
        elif PREFIX + name.upper() in environment:
            source = "environment"
        elif name in in_file:
            source = "file"
        found.append(
            SettingLine(
                name=name,
                value=_shown(getattr(settings, name)),
                source=source,
                words=words.get(name, ""),
                choices=_choices(field.annotation),
                editable=name not in ELSEWHERE,
            )
        )
    return found


def usual_file() -> Path:
    """Where the user's file lies if no other was named."""
    return Path(platformdirs.user_config_dir(APP_NAME, appauthor=False)) / "config.toml"


def change(file: Path, name: str, text: str, arguments: Sequence[str] = ()) -> None:
    """Write one setting into the file, after a check that all of them fit together.

    An empty text takes it out. Raises ``SettingsError`` in words with the file as it was.
    """
    import tomlkit

    from .store.paths import make_private_folder, write_private

    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        document = tomlkit.parse(before)
        if text.strip():
            document[name] = _as_toml(name, text.strip())
        else:
            document.pop(name, None)
        make_private_folder(file.parent)
        write_private(file, tomlkit.dumps(document).encode())
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}.") from None
    except ValueError as error:
        raise SettingsError(f"{file} is not valid TOML, so mend it first: {error}.") from None
    try:
        load_settings([*arguments, f"config_file={file}"])
    except SettingsError:
        write_private(file, before.encode())
        raise


def _as_toml(name: str, text: str) -> bool | int | float | str:
    """A text as the kind of value that the setting is."""
    kinds = {type(None), *_kinds(Settings.model_fields[name].annotation)}
    if bool in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    return text


def _kinds(annotation: Any) -> set[Any]:
    inner = get_args(annotation)
    if get_origin(annotation) is Literal or not inner:
        return {annotation}
    return {kind for one in inner for kind in _kinds(one)}


def _choices(annotation: Any) -> tuple[str, ...]:
    """The values of a setting that has only so many; none for the others."""
    if annotation is bool:
        return ("true", "false")
    if get_origin(annotation) is Literal:
        return tuple(str(value) for value in get_args(annotation))
    for one in get_args(annotation):
        if get_origin(one) is Literal:
            return _choices(one)
    return ()


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case dict():
            return "; ".join(f"{name}={what}" for name, what in value.items())
        case _:
            return str(value)


def _words() -> dict[str, str]:
    """The line under each field of the settings, read from the source."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for owner in tree.body:
        if not isinstance(owner, ast.ClassDef) or owner.name != Settings.__name__:
            continue
        for field, line in zip(owner.body, owner.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(line, ast.Expr)
                and isinstance(line.value, ast.Constant)
            ):
                found[field.target.id] = " ".join(str(line.value.value).split())
    return found
