"""The keys in the help are those that are bound; the user may choose others for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from continualcode_tui.app import keys
from continualcode_tui.app.screens.help import HelpScreen
from continualcode_tui.app.screens.learning import LearningPanel
from continualcode_tui.widgets.conversation import Conversation

from ..controllers.support import Stage
from .test_screen import running, stage

__all__ = ["stage"]


def test_every_binding_has_an_id_of_its_own_and_a_line():
    lines = [line for _, group in keys.groups() for line in group]
    ids = [line.id for line in lines]
    assert len(ids) == len(set(ids))
    assert all(ids)
    assert all(line.keys and line.words for line in lines)


def test_keys_are_shown_as_a_person_reads_them():
    assert keys.shown("escape,q") == "Esc, q"
    assert keys.shown("left_square_bracket") == "["


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"chat.lerning": "ctrl+l"}, "did you mean chat.learning"),
        ({"proposal.approve": "x"}, "stay what they are"),
        ({"proposal.deny": "x"}, "stay what they are"),
        ({"proposal.always": "enter"}, "must not be a key that is pressed by the way"),
        ({"chat.learning": " , "}, "it names no key"),
    ],
)
def test_a_line_of_the_keymap_that_cannot_be_used_is_said(line: dict[str, str], words: str):
    taken, (sentence,) = keys.usable(line)
    assert not taken
    assert words in sentence


async def test_the_users_key_works_and_the_help_shows_it(stage: Stage):
    keymap = "keymap=chat.learning=f4;nonsense=f5"
    async with running(stage, keymap, size=(100, 150)) as at:
        panel = at.chat.query_one(LearningPanel)
        shown = panel.has_class("-shown")
        await at.pilot.press("f4")
        await at.until(lambda: panel.has_class("-shown") != shown, "the panel")
        assert "nonsense=f5 of keymap is not used" in at.text()
        assert at.chat.query_one(Conversation)
        await at.pilot.press("f1")
        await at.until(lambda: isinstance(at.app.screen, HelpScreen), "help")
        await at.until(lambda: "/lessons" in at.text(), "the last group")
        assert "f4" in at.text()
        assert "ctrl+t" not in at.text()


def test_the_readme_names_the_keys_that_decide():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for key in ("y", "n", "e"):
        assert f"| `{key}` |" in readme
