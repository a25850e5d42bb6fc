"""`/settings`: what is set, where it comes from, and a change that keeps the file's comments."""

from __future__ import annotations

from pathlib import Path

import pytest
from continualcode_tui.app.screens.settings import SettingsScreen, ValueScreen
from continualcode_tui.app.settings import Settings, SettingsError, load_settings
from continualcode_tui.app.settings_file import change, lines, usual_file
from textual.widgets import OptionList

from ..controllers.support import Stage
from .test_screen import running, stage

__all__ = ["stage"]


def test_every_setting_has_its_line_and_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONTINUALCODE_MAX_STEPS", "3")
    file = tmp_path / "config.toml"
    file.write_text("temperature = 0.2\n")
    settings = load_settings(["seed=7", f"config_file={file}"])
    found = {line.name: line for line in lines(settings, settings.arguments, {"temperature": 0.2})}
    assert set(found) == set(Settings.model_fields)
    assert all(line.words.endswith(".") for line in found.values())
    assert (found["seed"].value, found["seed"].source) == ("7", "argument")
    assert (found["max_steps"].value, found["max_steps"].source) == ("3", "environment")
    assert (found["temperature"].value, found["temperature"].source) == ("0.2", "file")
    assert found["engine"].choices == ("practice", "local", "tinker")
    assert found["enable_training"].choices == ("true", "false")
    assert "forward_kl" in found["objective"].choices


def test_a_change_keeps_the_comments_and_the_order(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text("# mine\nseed = 1  # as ever\ntemperature = 0.2\n")
    change(file, "temperature", "0.5")
    change(file, "auto_approve_readonly", "false")
    change(file, "theme", "continual-light")
    assert file.read_text() == (
        "# mine\nseed = 1  # as ever\ntemperature = 0.5\nauto_approve_readonly = false\n"
        'theme = "continual-light"\n'
    )
    change(file, "temperature", "")
    assert "temperature" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("temperature", "9", "less than or equal to 2"),
        ("engine", "local", "engine=local needs model_name"),
        ("max_tokens", "many", "max_tokens"),
    ],
)
def test_a_change_that_cannot_be_leaves_the_file_as_it_was(
    tmp_path: Path, name: str, value: str, words: str
):
    file = tmp_path / "config.toml"
    file.write_text("seed = 1\n")
    with pytest.raises(SettingsError, match=words):
        change(file, name, value)
    assert file.read_text() == "seed = 1\n"


def test_a_file_that_is_broken_is_not_touched(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text("seed = = 1\n")
    with pytest.raises(SettingsError, match="mend it first"):
        change(file, "seed", "2")
    assert file.read_text() == "seed = = 1\n"


@pytest.mark.parametrize("size", [(60, 18), (120, 40)])
async def test_a_setting_is_changed_on_the_page(stage: Stage, size: tuple[int, int]):
    async with running(stage, size=size) as at:
        at.chat.show("settings")
        await at.until(lambda: isinstance(at.app.screen, SettingsScreen), "the page")
        await at.until(lambda: "enable_training" in at.text(), "the list")
        options = at.app.screen.query_one(OptionList)
        options.highlighted = list(Settings.model_fields).index("auto_approve_readonly")
        await at.until(lambda: "Whether read, glob and grep" in at.text(), "its line")
        await at.pilot.press("enter")
        await at.until(lambda: isinstance(at.app.screen, ValueScreen), "the choices")
        await at.pilot.press("down", "enter")
        await at.until(lambda: usual_file().exists(), "the file")
        assert "auto_approve_readonly = false" in usual_file().read_text()
        await at.until(lambda: "→ false at the next start" in at.text(), "the note")
        await at.pilot.press("backspace")
        await at.until(lambda: "auto_approve" not in usual_file().read_text(), "unset")
        await at.pilot.press("escape")
        await at.until(lambda: at.app.screen is at.chat, "the conversation")
