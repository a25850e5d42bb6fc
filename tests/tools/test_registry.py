"""The registry: schemas, and messages that a model can learn from."""

import subprocess
import sys
from typing import Any

import jsonschema
import pytest
from continualcode_tui.app.tools import registry
from continualcode_tui.app.workspace.workspace import Workspace
from continualcode_tui.training.protocol import ToolCall
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def problem(name: str, **arguments: Any) -> str | None:
    return registry.validate(ToolCall(name=name, arguments=arguments))


def test_the_six_tools() -> None:
    assert list(registry.TOOLS) == ["read", "write", "edit_lines", "glob", "grep", "bash"]
    assert [name for name, tool in registry.TOOLS.items() if tool.read_only] == [
        "read",
        "glob",
        "grep",
    ]
    arguments = {
        "read": ["path", "offset", "limit"],
        "write": ["path", "content"],
        "edit_lines": ["path", "start_line", "end_line", "content"],
        "glob": ["pattern", "path"],
        "grep": ["pattern", "path"],
        "bash": ["command"],
    }
    for schema in registry.schemas():
        jsonschema.Draft202012Validator.check_schema(schema.parameters)
        assert list(schema.parameters["properties"]) == arguments[schema.name]
        assert all(entry["description"] for entry in schema.parameters["properties"].values())
        assert schema.description.endswith(".")
        assert registry.TOOLS[schema.name].description == schema.description


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        (
            "rm",
            {},
            "there is no tool 'rm'; the tools are read, write, edit_lines, glob, grep, bash",
        ),
        ("read", {}, '"path" is missing (file, relative to the repository\'s root)'),
        ("write", {"path": "a"}, '"content" is missing (the whole new text of the file)'),
        ("read", {"path": "a", "file": 1}, '"file" is none of its arguments, which are "path"'),
        ("read", {"path": 3}, '"path" must be a string, not 3'),
        ("read", {"path": "a", "offset": "x"}, "\"offset\" must be a whole number, not 'x'"),
        ("read", {"path": "a", "offset": True}, '"offset" must be a whole number, not True'),
        ("read", {"path": "a", "offset": 1.5}, '"offset" must be a whole number, not 1.5'),
        ("read", {"path": None}, '"path" must be a string, not None'),
        ("bash", {"cmd": "ls"}, '"command" is missing'),
    ],
)
def test_problems_teach(name: str, arguments: dict[str, Any], words: str) -> None:
    assert words in (problem(name, **arguments) or "")


def test_what_can_only_mean_one_thing_is_accepted() -> None:
    call = ToolCall(name="read", arguments={"path": "a", "offset": " 12 ", "limit": 3.0})
    assert registry.validate(call) is None
    assert registry.coerce(call).arguments == {"path": "a", "offset": 12, "limit": 3}
    call = ToolCall(name="grep", arguments={"pattern": "1", "path": None})
    assert registry.validate(call) is None
    assert registry.coerce(call).arguments == {"pattern": "1"}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([*registry.TOOLS, "none"]),
    arguments=st.dictionaries(
        st.sampled_from(
            [
                "path",
                "content",
                "start_line",
                "end_line",
                "pattern",
                "command",
                "offset",
                "limit",
                "x",
            ]
        ),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text())
        ),
    ),
)
def test_a_preview_never_raises(workspace: Workspace, name: str, arguments: dict[str, Any]) -> None:
    shown = registry.preview(ToolCall(name=name, arguments=arguments), workspace)
    assert shown.problem is None or shown.problem


async def test_a_system_that_refuses_is_told_in_words(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("os.pipe", refuse)
    call = ToolCall(name="bash", arguments={"command": "true"})
    result = await registry.run(call, workspace, lambda _: None)
    assert result.output == "error: the command could not be started: Too many open files"
    monkeypatch.setattr("os.readlink", lambda *_, **__: refuse())
    monkeypatch.setattr("os.stat", refuse)
    call = ToolCall(name="glob", arguments={"pattern": "*", "path": "tests"})
    words = "the system refused it: too many open files"
    assert registry.preview(call, workspace).problem == words
    assert (await registry.run(call, workspace, lambda _: None)).output == f"error: {words}"


async def test_answers_have_no_half_characters(workspace: Workspace) -> None:
    call = ToolCall(name="glob", arguments={"pattern": "\udcff*"})
    result = await registry.run(call, workspace, lambda _: None)
    assert result.output.encode() == b"no files match \\udcff*"


def test_the_core_is_light_to_import() -> None:
    script = (
        "import sys; import continualcode_tui.app.tools.registry, "
        "continualcode_tui.app.agent.conversation, continualcode_tui.app.agent.parser, "
        "continualcode_tui.app.agent.system_prompt; "
        "print([m for m in ('git', 'jsonschema', 'textual', 'rich', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
