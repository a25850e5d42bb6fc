"""`/adapter` in the full screen, on the fake worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from continualcode_tui.widgets.correction_box import CorrectionBox

from ..controllers.support import Stage
from .test_screen import EDIT, WRITE, Driver, running


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def deny(at: Driver) -> None:
    await at.ask("fix the test")
    await at.proposal()
    await at.pilot.press("n")
    await at.box(CorrectionBox)
    await at.type("use edit lines")
    await at.pilot.press("enter")


async def command(at: Driver, line: str, words: str) -> None:
    """Type a command and wait for the sentence that it leads to."""
    await at.ask(line)
    await at.until(lambda: words in " ".join(at.text().split()), words)
    await at.until(lambda: not at.chat.session.busy, "rest")


@pytest.mark.slow
async def test_off_and_on_can_be_seen_and_nothing_is_learned_meanwhile(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done."])
    async with running(stage) as at:
        await command(at, "/adapter", "The adapter is on and empty: the model is as it came.")
        await command(at, "/adapter off", "answers come from the base model and nothing is learned")
        await at.until(lambda: at.chat.model == "fake-model, adapter off", "the status")
        await deny(at)
        await at.until(lambda: "The adapter is off; /adapter on turns it on" in at.text(), "words")
        await at.until(lambda: at.chat.phase == "ready", "ready")
        assert not stage.requests("learn")
        (record,) = at.chat.session.lessons()
        assert record.standing == "in_context_only"
        await command(at, "/adapter on", "The adapter is on again, as it was.")
        await at.until(lambda: at.chat.model == "fake-model", "the status")


@pytest.mark.slow
async def test_list_use_and_import(stage: Stage) -> None:
    stage.write_script(
        completions=[WRITE, "Done."], lessons=[{"outcome": "learned", "retry": EDIT}]
    )
    async with running(stage, size=(110, 60)) as at:
        await deny(at)
        await at.proposal()
        await at.pilot.press("y")
        await at.until(lambda: at.chat.phase == "ready", "ready")
        (record,) = at.chat.session.lessons()
        name = record.lesson.id
        await command(at, "/adapter", f"The adapter is on: snapshot {name}, with one lesson.")
        await command(at, "/adapter list", "base - below it the model as it came")
        assert "current" in at.text()
        await command(at, "/adapter use base", "one lesson is taken back.")
        assert at.chat.lessons == 0
        await command(at, f"/adapter use {name[:8]}", "one lesson is learned again.")
        await at.until(lambda: at.chat.lessons == 1, "the count")
        await command(at, "/adapter import /some/folder", "was imported as snapshot import-")
        assert stage.requests("import")[0]["path"] == "/some/folder"
        assert at.chat.lessons == 1
        await command(at, "/undo", "The imported adapter was taken back.")
        assert at.chat.lessons == 1


@pytest.mark.parametrize("line", ["/adapter of", "/adapter use", "/adapter on x"])
async def test_what_it_does_not_know_is_said_in_words(stage: Stage, line: str) -> None:
    async with running(stage) as at:
        await command(at, line, "/adapter takes [off|on|list|use ID|import PATH].")
        assert not stage.requests("enable_adapter")
