"""The conversation."""

from __future__ import annotations

import re

import pytest
from continualcode_tui.widgets.conversation import Conversation
from continualcode_tui.widgets.entries import (
    AssistantEntry,
    CallEntry,
    Fold,
    LessonCard,
    NoticeEntry,
)
from continualcode_tui.widgets.heatmap import Heatmap, TokenCell
from continualcode_tui.widgets.transcript_model import (
    AssistantRecord,
    NoticeRecord,
    Record,
    UserRecord,
)
from textual.pilot import Pilot
from textual.widgets import Markdown

from .support import HOSTILE, Stage, screen_text, settled, until

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
        await until(lambda: [each.source for each in talk.query(Markdown)] == ["Reading."], pilot)
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


def lines(pilot: Pilot[object]) -> list[str]:
    """The rows of the conversation without their scrollbar and the hint below."""
    return [line[:58].rstrip() for line in screen_text(pilot.app).split("\n")][:17]


async def test_what_is_far_away_is_let_go_and_comes_back_as_it_is_by_then():
    talk = Conversation()
    async with Stage(talk).run_test(size=(60, 18)) as pilot:
        for i in range(300):
            talk.add_call("read", f"file {i}", "approved", number=i)
        await until(lambda: "file 299" in screen_text(pilot.app), pilot)
        await settled(pilot)
        assert len(talk.query(CallEntry)) < 90
        talk.mark_call("denied", "not this one", number=0)
        talk.add_output("of the first\n", number=0)
        talk.focus()
        await pilot.press("home")
        await until(lambda: "file 0  denied: not this one" in screen_text(pilot.app), pilot)
        assert "of the first" in screen_text(pilot.app)
        talk.clear()
        await until(lambda: not talk.query(CallEntry), pilot)
        assert talk.records == []


async def test_a_saved_conversation_opens_at_its_end_with_few_widgets():
    talk = Conversation()
    async with Stage(talk).run_test(size=(60, 18)) as pilot:
        talk.load([NoticeRecord(f"notice {i}") for i in range(10_000)])
        await until(lambda: "notice 9999" in screen_text(pilot.app), pilot)
        await settled(pilot)
        assert len(talk.query(NoticeEntry)) < 60
        assert talk.following
        talk.add_notice("the newest")
        await until(lambda: "the newest" in screen_text(pilot.app), pilot)
        talk.scroll_to(y=talk.max_scroll_y // 2, animate=False)
        await until(lambda: "notice 49" in screen_text(pilot.app), pilot)


@pytest.mark.slow
async def test_paging_shows_every_entry_once_and_in_order():
    talk = Conversation()
    records: list[Record] = [
        AssistantRecord("\n\n".join(f"part {i}.{n}" for n in range(i % 7 + 1)))
        if i % 2
        else NoticeRecord(f"part {i}.0")
        for i in range(40)
    ]
    wanted = [f"part {i}.{n}" for i in range(40) for n in range(i % 7 + 1 if i % 2 else 1)]
    async with Stage(talk).run_test(size=(60, 18)) as pilot:
        talk.load(records)
        talk.focus()
        await settled(pilot)
        await pilot.press("home")
        seen: list[str] = []
        while True:
            await settled(pilot)
            page = re.findall(r"part \d+\.\d+", "\n".join(lines(pilot)))
            assert page == [each for each in wanted if each in set(page)]
            seen += [each for each in page if each not in seen]
            if talk.following:
                break
            await pilot.press("pagedown")
        assert seen == wanted


@pytest.mark.slow
async def test_what_is_read_stays_where_it_is_whatever_happens_around_it():
    talk = Conversation()
    async with Stage(talk).run_test(size=(60, 18)) as pilot:
        talk.load(
            [
                AssistantRecord(f"# answer {i}\n\n- one\n- two") if i % 3 else UserRecord(f"{i}?")
                for i in range(200)
            ]
        )
        talk.focus()
        await settled(pilot)
        for _ in range(6):
            await pilot.press("pageup")
            await settled(pilot)
        before = lines(pilot)
        talk.begin_assistant()
        for i in range(30):
            talk.append_assistant(f"line {i}\n\n")
            talk.add_notice(f"notice {i}")
        await settled(pilot)
        assert lines(pilot) == before
        talk.drop_assistant()
        await settled(pilot)
        assert lines(pilot) == before


async def test_the_hint_counts_what_is_new_below_and_leads_there():
    talk = Conversation()
    async with Stage(talk).run_test(size=(60, 18)) as pilot:
        for i in range(30):
            talk.add_notice(f"notice {i}")
        await settled(pilot)
        assert "new below" not in screen_text(pilot.app)
        talk.focus()
        await pilot.press("pageup")
        await until(lambda: not talk.following, pilot)
        talk.add_notice("first")
        talk.append_assistant("second")
        talk.append_assistant(" goes on")
        await until(lambda: "2 new below · End" in screen_text(pilot.app), pilot)
        await pilot.click(Conversation, offset=(30, 17))
        await until(lambda: "second goes on" in screen_text(pilot.app), pilot)
        assert "new below" not in screen_text(pilot.app)
        await pilot.press("pageup")
        talk.add_notice("third")
        await until(lambda: "1 new below · End" in screen_text(pilot.app), pilot)
        await pilot.press("end")
        await until(lambda: "third" in screen_text(pilot.app), pilot)
        assert talk.unseen == 0


async def test_opened_output_is_still_open_when_it_comes_back():
    talk = Conversation()
    async with Stage(talk).run_test(size=(60, 18)) as pilot:
        talk.add_call("bash", "bash", "approved")
        talk.add_output("".join(f"line {i}\n" for i in range(30)))
        await settled(pilot)
        talk.query_one(Fold).focus()
        await pilot.press("enter")
        await settled(pilot)
        for i in range(100):
            talk.add_notice(f"notice {i}")
        talk.follow()
        await until(lambda: "notice 99" in screen_text(pilot.app), pilot)
        await until(lambda: not talk.query(Fold), pilot)
        assert pilot.app.focused is talk
        await pilot.press("home")
        await until(lambda: "line 13" in screen_text(pilot.app), pilot)


async def test_the_newest_answers_and_output_can_be_asked_for():
    talk = Conversation()
    async with Stage(talk).run_test() as pilot:
        assert talk.answer() is None
        assert talk.output() is None
        talk.append_assistant("first **answer**")
        talk.end_assistant()
        talk.add_call("bash", "ls", "approved")
        talk.add_output("a.py\n")
        talk.add_call("bash", "true", "approved")
        talk.append_assistant("sec")
        talk.append_assistant("ond")
        await pilot.pause()
        assert talk.answer() == "second"
        assert talk.answer(2) == "first **answer**"
        assert talk.answer(3) is None
        assert talk.output() == "a.py\n"


async def test_what_the_mouse_selects_can_be_copied():
    talk = Conversation()
    async with Stage(talk).run_test(size=(60, 18)) as pilot:
        talk.add_user("fix it")
        talk.append_assistant("I will **look**.")
        talk.end_assistant()
        talk.add_call("bash", "ls", "approved")
        talk.add_output("a.py\nb.py\n")
        await until(lambda: "b.py" in screen_text(pilot.app), pilot)
        await pilot.mouse_down(Conversation, offset=(2, 1))
        await pilot.hover(Conversation, offset=(8, 7))
        await pilot.mouse_up(Conversation, offset=(8, 7))
        await settled(pilot)
        selected = pilot.app.screen.get_selected_text() or ""
        assert selected.split("\n") == [
            "fix it",
            "I will look.",
            "✓ bash ls  approved",
            "a.py",
            "b.py",
        ]


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


async def filled(pilot) -> None:
    fill(pilot.app.query_one(Conversation))
    await pilot.pause(0.3)


def test_snapshot(snap_compare):
    app = Stage(Conversation())
    assert snap_compare(app, terminal_size=(80, 40), run_before=filled)


def test_snapshot_light(snap_compare):
    app = Stage(Conversation(), theme="continual-light")
    assert snap_compare(app, terminal_size=(60, 18), run_before=filled)


async def test_a_very_long_answer_goes_on_as_plain_text_and_loses_nothing():
    line = "- *some* words\n"
    code = "```python\n" + "x = 1\n" * 300 + "```\n"
    text = code + line * 400
    talk = Conversation()
    app = Stage(talk, focus=Conversation)
    async with app.run_test(size=(80, 30)) as pilot:
        talk.begin_assistant()
        for at in range(0, len(text), 700):
            talk.append_assistant(text[at : at + 700])
        await settled(pilot)
        entry = talk.query_one(AssistantEntry)
        markdown, rest = entry.query_one(Markdown), entry.query_one(Fold)
        assert (markdown.source, rest.text) == (code + line * 80, line * 320)
        talk.end_assistant(text)
        await settled(pilot)
        assert (markdown.source, rest.text) == (code + line * 80, (line * 320).rstrip())
        assert rest.display
        assert "more lines" in screen_text(app)
        talk.begin_assistant()
        talk.end_assistant("y" * 200_000)
        await settled(pilot)
        assert "more characters; /copy takes the whole answer" in talk.query(Fold).last().text
        assert talk.records[-1] == AssistantRecord("y" * 200_000)
