"""The six tools and the one way to check, preview and run a call."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from ...training.protocol import ToolCall, ToolSchema
from ..sandbox.sandbox import Sandbox
from ..workspace.workspace import Workspace
from .base import OutputSink, Preview, Tool, ToolResult, failure
from .bash import Bash
from .edit_lines import EditLines
from .glob import Glob
from .grep import Grep
from .read import Read
from .write import Write

Tools = Mapping[str, Tool]


def make_tools(bash_timeout: float = 120.0, sandbox: Sandbox | None = None) -> Tools:
    """Make the six tools with these settings; commands run behind ``sandbox``."""
    bash = Bash(bash_timeout, sandbox)
    tools: list[Tool] = [Read(), Write(), EditLines(), Glob(), Grep(), bash]
    return {tool.name: tool for tool in tools}


TOOLS: Tools = make_tools()
UNTOLD = frozenset({("bash", "network")})
"""Arguments that the practice model is not told of: it was trained on the others alone."""


def prepare() -> None:
    """Import what the first call needs; 120 ms that are better spent in a thread at the start."""
    importlib.import_module("jsonschema")


def schemas(*, whole: bool = False) -> tuple[ToolSchema, ...]:
    """Return what a model is told about the tools; the practice model not the ``whole``."""
    return tuple(
        ToolSchema(
            name=tool.name,
            description=tool.description,
            parameters=dict(tool.parameters) if whole else _told(tool),
        )
        for tool in TOOLS.values()
    )


def _told(tool: Tool) -> dict[str, Any]:
    properties: Mapping[str, Any] = tool.parameters["properties"]
    told = {name: rule for name, rule in properties.items() if (tool.name, name) not in UNTOLD}
    return {**tool.parameters, "properties": told}


def coerce(call: ToolCall) -> ToolCall:
    """Put a call into its plain form: what it means is what it says.

    Numbers that were given as digits in a string, or as ``3.0``, become integers; an optional
    argument that was given as null is left out, and so is a switch that is off.
    """
    tool = TOOLS.get(call.name)
    if tool is None:
        return call
    properties: Mapping[str, Any] = tool.parameters["properties"]
    required: list[str] = tool.parameters["required"]
    arguments: dict[str, Any] = {}
    for name, given in call.arguments.items():
        kind = properties.get(name, {}).get("type")
        value = _integer(given) if kind == "integer" else given
        value = _boolean(given) if kind == "boolean" else value
        if name in required or not (value is None or (kind == "boolean" and value is False)):
            arguments[name] = value
    return ToolCall(name=call.name, arguments=arguments)


def _boolean(value: Any) -> Any:
    words = {"true": True, "false": False}
    return words.get(value.strip().lower(), value) if isinstance(value, str) else value


def _integer(value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip()
        if text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 16:
            return int(text)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def validate(call: ToolCall) -> str | None:
    """Return one sentence on what is wrong with a call, or None."""
    tool = TOOLS.get(call.name)
    if tool is None:
        return f"there is no tool {call.name!r}; the tools are {', '.join(TOOLS)}"
    from jsonschema import Draft202012Validator  # slow to import, see `prepare`

    errors = list(Draft202012Validator(tool.parameters).iter_errors(coerce(call).arguments))
    if not errors:
        return None
    problems = [*_names(tool, call), *(_value(error) for error in errors if error.path)]
    return f"the call of {call.name} is not right: " + "; ".join(problems)


def _names(tool: Tool, call: ToolCall) -> list[str]:
    """Name the arguments that are missing and those that the tool does not have."""
    properties: Mapping[str, Any] = tool.parameters["properties"]
    problems = [
        f'the argument "{name}" is missing ({properties[name]["description"]})'
        for name in tool.parameters["required"]
        if name not in call.arguments
    ]
    known = ", ".join(f'"{name}"' for name in properties)
    problems += [
        f'"{name}" is none of its arguments, which are {known}'
        for name in call.arguments
        if name not in properties
    ]
    return problems


def _value(error: Any) -> str:
    """Say what is wrong with one argument's value."""
    name = error.path[0]
    if error.validator == "type":
        kinds = {"string": "a string", "integer": "a whole number", "boolean": "true or false"}
        wanted = kinds.get(error.validator_value, error.validator_value)
        return f'"{name}" must be {wanted}, not {_shown(error.instance)}'
    if error.validator == "minimum":
        return f'"{name}" must be at least {error.validator_value}, not {error.instance}'
    return f'"{name}": {error.message}'


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _system(error: OSError) -> str:
    return f"the system refused it: {(error.strerror or 'unknown error').lower()}"


def preview(call: ToolCall, workspace: Workspace, tools: Tools = TOOLS) -> Preview:
    """Say what a call would do; a call that cannot work has a ``problem``."""
    if problem := validate(call):
        return Preview(kind="text", title=call.name, problem=problem)
    try:
        return tools[call.name].preview(coerce(call).arguments, workspace)
    except OSError as error:
        return Preview(kind="text", title=call.name, problem=_system(error))


async def run(
    call: ToolCall,
    workspace: Workspace,
    on_output: OutputSink,
    expected: Preview | None = None,
    tools: Tools = TOOLS,
) -> ToolResult:
    """Run a call, as ``expected`` showed it: that command, or that change of that text."""
    if problem := validate(call):
        return failure(problem)
    if expected is not None and expected.kind == "command":
        command = (call.arguments.get("command"), str(workspace.root))
        if command != (expected.command, expected.folder):
            return failure("the command is not the one that was shown; propose it again")
    try:
        result = await tools[call.name].run(coerce(call).arguments, workspace, on_output, expected)
    except OSError as error:
        return failure(_system(error))
    output = result.output.encode("utf-8", "backslashreplace").decode("utf-8")
    return ToolResult(ok=result.ok, output=output)
