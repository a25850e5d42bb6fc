"""The queue above the prompt, and the search over the history."""

from __future__ import annotations

from continualcode_tui.widgets.history_search import HistorySearch, Query
from continualcode_tui.widgets.queue_list import Lines, QueueList

from .support import HOSTILE, Stage, screen_text, settled, until


async def test_a_message_is_edited_or_dropped_by_a_key():
    queue = QueueList()
    app = Stage(queue)
    async with app.run_test(size=(60, 18)) as pilot:
        assert not queue.display
        queue.show(["one", HOSTILE, "three\nlines"], held=False)
        queue.query_one(Lines).focus()
        await settled(pilot)
        assert "2 [/] [red]x[/red] [b +⟨ESC⟩[2J" in screen_text(app)
        assert "3 three lines" in screen_text(app)
        assert "e edits" in screen_text(app)
        await pilot.press("e", "up", "d", "down", "down")
        await until(lambda: app.of(QueueList.Left), pilot)
        assert [message.index for message in app.of(QueueList.Edited)] == [2]
        assert [message.index for message in app.of(QueueList.Dropped)] == [1]
        queue.show(["one"], held=True)
        await settled(pilot)
        app.set_focus(None)
        await settled(pilot)
        assert "Enter sends them" in screen_text(app)
        queue.show([], held=False)
        await settled(pilot)
        assert not queue.display


async def test_a_few_letters_find_what_was_written():
    search = HistorySearch()
    app = Stage(search)
    async with app.run_test(size=(60, 18)) as pilot:
        search.open(["fix the test", "run it", "fix the test", HOSTILE, "fix all"])
        await settled(pilot)
        assert screen_text(app).count("fix the test") == 1
        await pilot.press(*"fixt")
        await settled(pilot)
        assert "run it" not in screen_text(app)
        await pilot.press("enter")
        await until(lambda: app.of(HistorySearch.Taken), pilot)
        assert app.of(HistorySearch.Taken)[0].text == "fix the test"
        assert not search.display
        search.open(["one", "two"])
        await pilot.press("ctrl+r", "enter")
        await until(lambda: len(app.of(HistorySearch.Taken)) == 2, pilot)
        assert app.of(HistorySearch.Taken)[1].text == "one"


async def test_a_search_without_result_says_so_and_escape_goes_back():
    search = HistorySearch()
    app = Stage(search)
    async with app.run_test(size=(60, 18)) as pilot:
        search.open(["one"])
        await pilot.press(*"zz", "enter")
        await settled(pilot)
        assert "Nothing that you wrote" in screen_text(app)
        assert isinstance(app.focused, Query)
        await pilot.press("escape")
        await until(lambda: app.of(HistorySearch.Closed), pilot)
        assert not search.display
        assert not app.of(HistorySearch.Taken)
