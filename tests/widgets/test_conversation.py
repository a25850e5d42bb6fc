"""The conversation."""

from __future__ import annotations

from continualcode_tui.widgets.conversation import Conversation
from continualcode_tui.widgets.entries import AssistantEntry, CallEntry, Fold, LessonCard
from continualcode_tui.widgets.heatmap import Heatmap, TokenCell
from textual.widgets import Markdown

from .support import HOSTILE, Stage, screen_text, until

TOKENS = (
    TokenCell("write", -4.2, 0.83, 0.06, "edit_lines", 0.01),
    TokenCell(" path", 0.4, 0.2, 0.3, " path", 0.3),
)


async def test_a_streamed_message_is_what_was_streamed():
    talk = Conversation()
    async with Stage(talk).run_test() as pilot:
        talk.begin_assistant()
        for piece in ("I will ", "look **at", "** it.\n\n", "- one\n", "- two\n"):
            talk.append_assistant(piece)
            await pilot.pause()
        talk.end_assistant()
        await until(lambda: "• two" in screen_text(pilot.app), pilot)
        assert "look at it." in screen_text(pilot.app)


async def test_the_final_text_replaces_what_streamed():
    talk = Conversation()
    async with Stage(talk).run_test() as pilot:
        talk.begin_assistant()
        talk.append_assistant("Reading. <tool_call>{")
        talk.end_assistant("Reading.")
        await until(lambda: talk.query_one(AssistantEntry).source == "Reading.", pilot)
        talk.begin_assistant()
        talk.append_assistant("<tool_call>")
        talk.end_assistant("  ")
        await until(lambda: len(talk.query(AssistantEntry)) == 1, pilot)


async def test_a_dropped_message_goes_and_a_second_end_is_harmless():
    talk = Conversation()
    async with Stage(talk).run_test() as pilot:
        talk.append_assistant("write the whole")
        await pilot.pause()
        talk.drop_assistant()
        talk.drop_assistant()
        talk.end_assistant()
        await until(lambda: not talk.query(AssistantEntry), pilot)
        talk.end_assistant("Done.")
        await until(lambda: "Done." in screen_text(pilot.app), pilot)


async def test_a_call_shows_its_outcome_its_reason_and_its_output():
    talk = Conversation()
    async with Stage(talk).run_test(size=(100, 40)) as pilot:
        talk.add_call("read", "read a.py", "rule", "read-only calls", number=1)
        talk.add_output("1 a = 1\n", number=1)
        talk.add_output("2 b = 2\n", number=1)
        talk.end_call(True, 0.21, number=1)
        talk.add_call("write", "a.py", number=2)
        talk.mark_call("denied", "use edit_lines", number=2)
        talk.add_call("bash", "bash", "edited", "ls → ls -l", number=3)
        talk.end_call(False, 2.0, "exit status 1")
        await until(lambda: "exit status 1" in screen_text(pilot.app), pilot)
        text = screen_text(pilot.app)
        assert "✓ read a.py  approved by rule: read-only calls · 0.2 s" in text
        assert text.index("read a.py") < text.index("1 a = 1") < text.index("2 b = 2")
        assert "✗ write a.py  denied: use edit_lines" in text
        assert "✎ bash  edited by you: ls → ls -l · failed · exit status 1 · 2.0 s" in text


async def test_long_output_is_folded_and_opens():
    talk = Conversation()
    async with Stage(talk).run_test(size=(80, 60)) as pilot:
        talk.add_call("bash", "bash", "approved")
        for i in range(30):
            talk.add_output(f"line {i}\n")
        await until(lambda: "18 more lines" in screen_text(pilot.app), pilot)
        assert "line 11" in screen_text(pilot.app)
        assert "line 12" not in screen_text(pilot.app)
        talk.query_one(Fold).focus()
        await pilot.press("enter")
        await until(lambda: "line 29" in screen_text(pilot.app), pilot)
        await pilot.click(Fold)
        await until(lambda: "line 29" not in screen_text(pilot.app), pilot)


async def test_progress_bars_in_output_show_their_last_state():
    talk = Conversation()
    async with Stage(talk).run_test() as pilot:
        talk.add_call("bash", "bash", "approved")
        talk.add_output("10%\r50%\r100%\nok\r\n\x1b[31mred\x1b[0m\n")
        await until(lambda: "100%" in screen_text(pilot.app), pilot)
        text = screen_text(pilot.app)
        assert "50%" not in text
        assert "ok\n" in text
        assert "⟨ESC⟩[31mred" in text


async def test_the_end_is_followed_until_the_user_scrolls_away():
    talk = Conversation()
    async with Stage(talk).run_test(size=(60, 18)) as pilot:
        for i in range(30):
            talk.add_notice(f"notice {i}")
        await until(lambda: "notice 29" in screen_text(pilot.app), pilot)
        talk.focus()
        await pilot.press("pageup", "pageup")
        await until(lambda: not talk.following, pilot)
        before = talk.scroll_y
        talk.add_notice("notice 30")
        talk.append_assistant("streaming\n\n" * 5)
        await pilot.pause(0.1)
        assert talk.scroll_y == before
        assert "notice 30" not in screen_text(pilot.app)
        talk.add_user("back to the end")
        await until(lambda: "back to the end" in screen_text(pilot.app), pilot)
        talk.add_notice("notice 31")
        await until(lambda: "notice 31" in screen_text(pilot.app), pilot)


async def test_a_short_conversation_begins_at_the_top_and_stays_there():
    talk = Conversation()
    async with Stage(talk).run_test(size=(60, 18)) as pilot:
        talk.add_user("hello")
        await until(lambda: screen_text(pilot.app).split("\n")[1].strip() == "▌ hello", pilot)
        for i in range(30):
            talk.add_notice(f"notice {i}")
        await until(lambda: "notice 29" in screen_text(pilot.app), pilot)
        await pilot.resize_terminal(60, 90)
        await until(lambda: screen_text(pilot.app).split("\n")[1].strip() == "▌ hello", pilot)


async def test_scrolling_back_to_the_end_follows_again():
    talk = Conversation()
    async with Stage(talk).run_test(size=(60, 18)) as pilot:
        for i in range(30):
            talk.add_notice(f"notice {i}")
        await pilot.pause()
        talk.focus()
        await pilot.press("pageup")
        await until(lambda: not talk.following, pilot)
        await pilot.press("end")
        await until(lambda: talk.following, pilot)
        talk.add_notice("the newest")
        await until(lambda: "the newest" in screen_text(pilot.app), pilot)


async def test_the_oldest_entries_are_taken_off_and_counted():
    talk = Conversation(most_entries=120)
    async with Stage(talk).run_test() as pilot:
        for i in range(150):
            talk.add_call("read", f"file {i}", "approved", number=i)
        await pilot.pause()
        assert len(talk.query(CallEntry)) == 50
        talk.mark_call("denied", number=0)
        talk.scroll_home(animate=False)
        await pilot.pause()
        assert "100 earlier entries are not shown" in screen_text(pilot.app)
        talk.clear()
        await pilot.pause()
        assert not talk.query(CallEntry)


async def test_a_lesson_card_opens_its_heatmap():
    talk = Conversation()
    async with Stage(talk).run_test() as pilot:
        talk.add_lesson(
            "learned", "The retry proposes edit_lines.", correction="use edit_lines", tokens=TOKENS
        )
        await until(lambda: "✓ Learned  The retry proposes" in screen_text(pilot.app), pilot)
        assert not talk.query(Heatmap)
        talk.query_one(LessonCard).focus()
        await pilot.press("enter")
        await until(lambda: "much less" in screen_text(pilot.app), pilot)
        assert "advantage −4.20 nats" in screen_text(pilot.app)
        await pilot.press("enter")
        await until(lambda: "less wanted" not in screen_text(pilot.app), pilot)


async def test_hostile_text_is_shown_and_not_obeyed():
    talk = Conversation()
    async with Stage(talk).run_test(size=(160, 50)) as pilot:
        talk.add_user(HOSTILE)
        talk.append_assistant(HOSTILE)
        talk.end_assistant()
        talk.add_call(HOSTILE, HOSTILE, "denied", HOSTILE)
        talk.add_output(HOSTILE)
        talk.end_call(False, 1, HOSTILE)
        talk.add_notice(HOSTILE, "error")
        talk.add_lesson("failed", HOSTILE, correction=HOSTILE, figures=HOSTILE)
        await pilot.pause(0.2)
        text = screen_text(pilot.app)
        assert text.count("⟨ESC⟩[2J⟨U+009B⟩31m") >= 8
        assert not {"\x1b", "\x9b", "\x00", "\u202e", "\u200b"} & set(text)
        assert not talk.query_one(Markdown)._open_links


def fill(talk: Conversation) -> None:
    talk.add_notice("Not a git repository: changes cannot be undone by git.", "warning")
    talk.add_user("fix the test")
    talk.append_assistant("I will look at the **test** first.\n\n- one `code`\n- two\n")
    talk.end_assistant()
    talk.add_call("read", "read tests/test_calc.py", "rule", "read-only calls")
    talk.add_output("".join(f"{i:>3} line {i}\n" for i in range(1, 20)))
    talk.end_call(True, 0.2)
    talk.add_call("write", "write src/calc.py", "denied", "use edit_lines; don't overwrite")
    talk.add_lesson(
        "learned",
        "The retry proposes edit_lines, without the correction in the prompt.",
        correction="use edit_lines; don't overwrite",
        figures="2 steps · loss 1.31 → 0.22 · KL 0.004 · 2.1 s",
        tokens=TOKENS,
    )
    talk.add_call("edit_lines", "edit_lines src/calc.py 3 to 4", "approved")
    talk.end_call(False, 1.2, "calc.py has 3 lines")
    talk.add_notice("The worker died; another one was started from the last snapshot.", "error")


async def settled(pilot) -> None:
    fill(pilot.app.query_one(Conversation))
    await pilot.pause(0.3)


def test_snapshot(snap_compare):
    app = Stage(Conversation())
    assert snap_compare(app, terminal_size=(80, 40), run_before=settled)


def test_snapshot_light(snap_compare):
    app = Stage(Conversation(), theme="continual-light")
    assert snap_compare(app, terminal_size=(60, 18), run_before=settled)
