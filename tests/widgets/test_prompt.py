"""The prompt."""

from __future__ import annotations

from continualcode_tui.widgets.file_index import FileIndex
from continualcode_tui.widgets.prompt import Completion, Prompt, PromptArea
from textual.events import Key, Paste

from .support import HOSTILE, Stage, screen_text, settled, until

COMPLETIONS = [
    Completion("/help", "Show keys and commands"),
    Completion("/lessons", "List the lessons"),
    Completion("/metrics", "Show every figure of the last step"),
    Completion("/note", "Add a note for the next correction", takes_text=True),
]


def stage(**more) -> tuple[Stage, Prompt]:
    prompt = Prompt(COMPLETIONS, **more)
    return Stage(prompt, focus=PromptArea), prompt


def sent(app: Stage) -> list[str]:
    return [message.text for message in app.of(Prompt.Submitted)]


async def test_enter_sends_and_empties_and_blank_is_not_sent():
    app, prompt = stage()
    async with app.run_test() as pilot:
        await pilot.press("enter", "space", "enter")
        await pilot.press(*"fix", "ctrl+j", *"it", "enter")
        await until(lambda: sent(app), pilot)
        assert sent(app) == ["fix\nit"]
        assert prompt.text == ""
        assert app.of(Prompt.Typed)


async def test_it_grows_to_eight_lines():
    app, prompt = stage()
    async with app.run_test() as pilot:
        heights = []
        for _ in range(12):
            await pilot.press("ctrl+j")
            heights.append(prompt.area.size.height)
        assert heights[0] == 2
        assert max(heights) == heights[-1] == 8


async def test_arrow_keys_go_through_the_history_at_the_edges_only():
    app, prompt = stage(history=["one", "two\nlines"])
    async with app.run_test() as pilot:
        await pilot.press(*"draft", "up")
        assert prompt.text == "two\nlines"
        await pilot.press("up")
        assert prompt.text == "two\nlines"
        await pilot.press("up")
        assert prompt.text == "one"
        await pilot.press("up", "down", "down", "down")
        assert prompt.text == "draft"


async def test_a_command_is_completed_by_tab_and_run_by_enter():
    app, prompt = stage()
    async with app.run_test() as pilot:
        await pilot.press("/", "m")
        await settled(pilot)
        assert "Show every figure of the last step" in screen_text(app)
        assert "Add a note" not in screen_text(app)
        await pilot.press("tab")
        assert prompt.text == "/metrics "
        await pilot.press("enter")
        await pilot.press("/", "down", "enter")
        await until(lambda: len(sent(app)) == 2, pilot)
        assert sent(app) == ["/metrics", "/lessons"]


async def test_a_command_that_takes_text_waits_for_it():
    app, _ = stage()
    async with app.run_test() as pilot:
        await pilot.press("/", "n", "enter", *"be brief", "enter")
        await until(lambda: sent(app), pilot)
        assert sent(app) == ["/note be brief"]


async def test_fuzzy_completion_and_escape():
    app, _ = stage()
    async with app.run_test() as pilot:
        await pilot.press(*"/ssn")
        await settled(pilot)
        assert "/lessons" in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        assert "List the lessons" not in screen_text(app)
        await pilot.press("enter")
        await until(lambda: sent(app) == ["/ssn"], pilot)


async def test_hostile_text_is_shown_and_not_obeyed_and_sent_as_it_was():
    prompt = Prompt([Completion("/" + HOSTILE, HOSTILE)])
    app = Stage(prompt, focus=PromptArea)
    async with app.run_test(size=(260, 24)) as pilot:
        await pilot.press("/")
        await settled(pilot)
        assert screen_text(app).count("[/] [red]x[/red] [b +⟨ESC⟩[2J") == 2
        prompt.text = ""
        prompt.area.post_message(Paste(HOSTILE))
        await until(lambda: prompt.text, pilot)
        await pilot.press("enter")
        await until(lambda: sent(app), pilot)
        assert sent(app) == [HOSTILE.strip()]


async def test_a_file_is_completed_after_an_at():
    app, prompt = stage()
    prompt.files = FileIndex(["src/session.py", "a b.py", "evil\n[b]\x1b.py"])
    async with app.run_test() as pilot:
        await pilot.press(*"see @ssn")
        await settled(pilot)
        assert "src/session.py" in screen_text(app)
        await pilot.press("enter", *"and @a", "space", *"x", "ctrl+u")
        assert app.of(Prompt.FilesWanted)
        await pilot.press(*"me@ab")
        await settled(pilot)
        assert "a b.py" not in screen_text(app), "an address is no file"
        await pilot.press("ctrl+u", *"@ab", "tab", *"@evil")
        await settled(pilot)
        assert "evil⟨LF⟩[b]⟨ESC⟩.py" in screen_text(app)
        await pilot.press("tab", "enter")
        await until(lambda: sent(app), pilot)
        assert sent(app) == ['@"a b.py" @"evil\n[b]\x1b.py"']


async def test_a_shell_command_gets_the_path_alone():
    app, prompt = stage()
    async with app.run_test() as pilot:
        await pilot.press(*"!cat @a")
        await until(lambda: app.of(Prompt.FilesWanted), pilot)
        prompt.files = FileIndex(["a b.py"])
        await pilot.press("tab", "enter")
        await until(lambda: sent(app), pilot)
        assert sent(app) == ["!cat 'a b.py'"]


async def test_keys_right_after_enter_are_not_lost():
    app, prompt = stage()
    async with app.run_test() as pilot:
        for key in ("o", "n", "e", "enter", "t", "w", "o", "ctrl+j", "3", "enter", "x"):
            character = key if len(key) == 1 else None
            prompt.area.post_message(Key(key, character))
        await until(lambda: prompt.text == "x", pilot)
        assert sent(app) == ["one", "two\n3"]


async def test_a_backslash_at_the_end_of_a_line_makes_enter_begin_another():
    app, _ = stage()
    async with app.run_test() as pilot:
        await pilot.press(*"one", "backslash", "enter", *"two", "backslash", "space", "enter")
        await until(lambda: sent(app), pilot)
        assert sent(app) == ["one\ntwo\\"]


async def test_a_long_paste_is_not_sent_and_nothing_of_it_is_lost():
    app, prompt = stage()
    text = "\n".join(f"line {number}" for number in range(300))
    async with app.run_test() as pilot:
        prompt.area.post_message(Paste(text + "\n"))
        await until(lambda: prompt.text, pilot)
        await settled(pilot)
        assert not sent(app)
        assert prompt.size.height < 12
        assert "301 lines" in screen_text(app)
        await pilot.press("enter")
        await until(lambda: sent(app), pilot)
        assert sent(app) == [text]


async def test_a_recalled_command_does_not_catch_the_arrow_keys():
    app, prompt = stage(history=["one", "/metrics"])
    async with app.run_test() as pilot:
        await pilot.press("up", "up")
        assert prompt.text == "one"


async def test_up_in_the_empty_prompt_asks_for_what_is_queued():
    app, prompt = stage(history=["one"])
    async with app.run_test() as pilot:
        prompt.queued = True
        await pilot.press("up")
        await until(lambda: app.of(Prompt.TakeBack), pilot)
        assert prompt.text == ""
        await pilot.press("x", "up")
        assert prompt.text == "one"


def test_snapshot(snap_compare):
    app, _ = stage()
    assert snap_compare(app, terminal_size=(80, 24), press=["/", "down"])


def test_snapshot_light(snap_compare):
    app = Stage(Prompt(COMPLETIONS), focus=PromptArea, theme="continual-light")
    assert snap_compare(app, terminal_size=(60, 18), press=[*"fix the", "ctrl+j", *"test"])
