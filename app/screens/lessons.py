"""`/lessons`: every lesson, whether it holds, and the keys to check and to take back."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from ...training.adapter_messages import is_import
from ...widgets.field import Field
from ...widgets.key_footer import KeyFooter
from ...widgets.sanitise import content, one_line
from ...widgets.stages import LessonStages
from .. import events as said
from ..adapter_words import counted
from ..lesson_words import matches, outcome_line
from .confirm import ConfirmScreen
from .lesson_detail import LessonDetail

if TYPE_CHECKING:
    from ..controllers.session import SessionController
    from ..store.journal import LessonRecord

SIGNS = {
    "learned": "✓",
    "in_context_only": "◐",
    "gated": "–",
    "rolled_back": "↶",
    "undone": "↶",
    "forgotten": "↶",
    "failed": "✗",
    "pending": "…",
}
EMPTY = (
    "No lessons yet.\n\nDeny a call with n and say what to do instead, or edit it with e: "
    "what comes of it stands here, and can be seen, checked and undone."
)
NOT_HELD = "Only a learned lesson can be {}; the adapter does not hold this one."
NAMED = 4
"""How many of the later lessons a question names."""


class LessonsScreen(Screen[None]):
    """A list of lessons, beside it the one under the cursor, which Enter opens at full width."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal")]  # noqa: RUF012 - declared so by Screen
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "back", id="lessons.back"),
        Binding("s,enter", "show", "show", id="lessons.show"),
        Binding("u", "undo", "undo", id="lessons.undo"),
        Binding("f", "forget", "forget", id="lessons.forget"),
        Binding("r", "replay", "replay", id="lessons.replay"),
        Binding("c", "check", "check", id="lessons.check"),
        Binding("slash", "filter", "filter", key_display="/", id="lessons.filter"),
        Binding("m", "next_view", "next view", show=False, id="lessons.mode"),
        Binding("[", "jump(-1)", "decision", show=False, id="lessons.previous"),
        Binding("]", "jump(1)", "decision", show=False, id="lessons.next"),
    ]
    DEFAULT_CSS = """
    LessonsScreen {
        #count { height: 1; padding: 0 1; color: $quiet; }
        Input { height: 1; border: none; padding: 0 1; background: $panel; display: none; }
        Input:focus { border: none; }
        Input.-open { display: block; }
        OptionList, OptionList:focus {
            width: 40%; height: 1fr; border: none; padding: 0;
            text-wrap: nowrap; text-overflow: ellipsis; scrollbar-size-vertical: 1;
        }
        OptionList > .option-list--option { padding: 0 1; }
        LessonDetail { width: 60%; border-left: solid $panel; }
        LessonDetail:focus { border-left: solid $primary; }
        LessonStages { padding: 0 1; background: $surface; }
        #news { height: auto; max-height: 3; padding: 0 1; color: $quiet; display: none; }
        #news.-said { display: block; }
        #news.-warning { color: $warning; }
        #empty {
            width: 100%; height: 1fr; padding: 0 4; color: $quiet;
            content-align: center middle; text-align: center;
        }
        &.-narrow OptionList { width: 100%; }
        &.-narrow LessonDetail { display: none; }
        &.-showing OptionList { display: none; }
        &.-showing LessonDetail, &.-showing LessonDetail:focus {
            display: block; width: 100%; border-left: none;
        }
    }
    """

    def __init__(self, session: SessionController) -> None:
        super().__init__()
        self._session = session
        self._every: list[LessonRecord] = []
        self._records: list[LessonRecord] = []
        self._outcomes: dict[str, tuple[LessonRecord, str]] = {}
        self._work: Worker[Any] | None = None

    def compose(self) -> ComposeResult:
        """The newest lesson comes first."""
        yield Static(id="count")
        yield Field(placeholder="words of the correction or the outcome")
        yield Static(id="empty", markup=False)
        with Horizontal():
            yield OptionList()
            yield LessonDetail(id="lesson")
        yield LessonStages(hint="Esc stops")
        yield Static(id="news", markup=False)
        yield KeyFooter()

    def on_mount(self) -> None:
        """Show what there is."""
        self._draw()
        self.query_one(OptionList).focus()

    # --- what is shown ------------------------------------------------------------------

    def _draw(self) -> None:
        """Show the lessons as they stand now, with the cursor where it was."""
        listing, before = self.query_one(OptionList), self._selected()
        wanted = self.query_one(Input).value
        self._every = list(reversed(self._session.lessons()))
        self._records = [
            record for record in self._every if matches(record, self._outcome(record), wanted)
        ]
        nothing = f"No lesson has the words “{one_line(wanted, 40)}”. Esc shows all."
        empty = self.query_one("#empty", Static)
        empty.update(nothing if self._every else EMPTY)
        empty.display = not self._records
        self.query_one(Horizontal).display = bool(self._records)
        self.query_one("#count", Static).update(self._count())
        listing.clear_options()
        listing.add_options([self._option(record) for record in self._records])
        names = [record.lesson.id for record in self._records]
        if names:
            known = before is not None and before.lesson.id in names
            listing.highlighted = names.index(before.lesson.id) if before and known else 0
            self._show_selected()
        elif self.has_class("-showing"):
            self._fold()

    def _outcome(self, record: LessonRecord) -> str:
        """What came of a lesson, read out of its texts once: a filter asks at every key."""
        known = self._outcomes.get(record.lesson.id)
        if known is None or known[0] is not record:
            known = self._outcomes[record.lesson.id] = (record, outcome_line(record))
        return known[1]

    def _count(self) -> str:
        if not self._every:
            return ""
        learned = sum(1 for record in self._every if record.standing == "learned")
        every = counted(len(self._every), "lesson", "lessons")
        if len(self._records) < len(self._every):
            return f"{len(self._records)} of {every}"
        return f"{every}, {learned} learned".capitalize()

    def _option(self, record: LessonRecord) -> Option:
        """The correction, and below it what came of it; without colours, for the cursor's."""
        text = one_line(record.lesson.correction, 120)
        if not record.lost or record.check is None:
            below = one_line(self._outcome(record), 160)
            return Option(Content(f"{SIGNS[record.standing]} {text}\n  {below}"))
        names = [each for each in self._every if each.lesson.id in record.check.suspects]
        later = "a later one"
        if len(record.check.suspects) == 1 and is_import(record.check.suspects[0]):
            later = "an imported adapter"
        elif len(names) == len(record.check.suspects) == 1:
            later = f"“{one_line(names[0].lesson.correction, 120)}”"
        return Option(Content(f"! {text}\n  lost to {later}"))

    def _selected(self) -> LessonRecord | None:
        at = self.query_one(OptionList).highlighted
        return self._records[at] if at is not None and at < len(self._records) else None

    def _show_selected(self) -> None:
        record = self._selected()
        if record is None:
            return
        self.query_one(LessonDetail).show(record, self._every)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show the lesson under the cursor."""
        event.stop()
        self._show_selected()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter in the list shows the lesson."""
        event.stop()
        self.action_show()

    def hear(self, event: said.AgentEvent) -> None:
        """Say below the list what the session says, and draw anew what it changed."""
        stages = self.query_one(LessonStages)
        match event:
            case said.SuiteProgress(message=message, fraction=fraction):
                self._tell(message if fraction is None else f"{message} · {fraction:.0%}")
            case said.LessonStarted(lesson=lesson):
                self._tell("")
                stages.start(f"Learning “{one_line(lesson.correction, 16)}”")
            case said.LessonStage(stage=stage, detail=detail, elapsed=elapsed):
                stages.enter(stage, detail, elapsed)
            case said.LessonFinished(result=result):
                stages.clear()
                self._tell(result.reason, warning=result.outcome != "learned")
                self._draw()
            case said.Notice(text=text, severity=severity):
                self._tell(text, warning=severity != "information")
            case said.LessonsChecked() | said.AtRest():
                self._draw()
            case _:
                pass

    def _tell(self, text: str, *, warning: bool = False) -> None:
        news = self.query_one("#news", Static)
        news.update(content(one_line(text, 400)))
        news.set_class(bool(text), "-said")
        news.set_class(warning, "-warning")

    # --- what can be asked --------------------------------------------------------------

    def _do(self, work: Awaitable[Any], description: str) -> None:
        """Let the session work while the screen goes on."""
        self._work = self.run_worker(
            work, group="lessons", exit_on_error=True, description=description
        )

    def action_check(self) -> None:
        """Ask every learned lesson again without its correction."""
        self._do(self._session.check(), "check the lessons")

    def action_undo(self) -> None:
        """Take the lesson under the cursor back: the newest at once, an older one by forgetting."""
        record = self._selected()
        if record is None:
            return
        if record.standing != "learned":
            self._tell(NOT_HELD.format("undone"))
        elif record.lesson.id == self._session.learned[-1]:
            self._do(self._session.undo(), "undo the newest lesson")
        else:
            self._ask_to_forget(record, "undo an older lesson", "undo it")

    def action_replay(self) -> None:
        """Learn the lesson under the cursor again."""
        record = self._selected()
        if record is not None:
            self._do(self._session.replay(record.lesson.id), "replay a lesson")

    def action_forget(self) -> None:
        """Take the lesson under the cursor out, after a question."""
        record = self._selected()
        if record is None:
            return
        if record.standing != "learned":
            self._tell(NOT_HELD.format("forgotten"))
        else:
            self._ask_to_forget(record, "forget a lesson", "forget it")

    def _ask_to_forget(self, record: LessonRecord, title: str, yes: str) -> None:
        identifier = record.lesson.id

        def answered(agreed: bool | None) -> None:
            if agreed:
                self._do(self._session.forget(identifier), "forget a lesson")

        question = ConfirmScreen(title, self._question(record), yes, "keep it")
        self.app.push_screen(question, answered)

    def _question(self, record: LessonRecord) -> Content:
        """Say what goes, and which lessons are learned again."""
        learned = self._session.learned
        later = learned[learned.index(record.lesson.id) + 1 :]
        corrections = {each.lesson.id: each.lesson.correction for each in self._every}
        parts: list[Content | tuple[str, str]] = [
            (f"“{one_line(record.lesson.correction, 120)}”", "bold"),
            Content("\n\nThe adapter goes back to before this lesson"),
        ]
        if later:
            lessons = counted(len(later), "later lesson is", "later lessons are")
            names = [f"\n  “{one_line(corrections.get(name, '?'), 50)}”" for name in later[:NAMED]]
            more = [f"\n  and {len(later) - NAMED} more"] if len(later) > NAMED else []
            one_by_one = " one by one" if len(later) > 1 else ""
            parts.append(Content(f", and {lessons} learned again{one_by_one}:"))
            parts.append(("".join(names + more), "$quiet"))
        end = "\n\nShould" if later else ". Should"
        parts.append(Content(f"{end} that fail or be stopped, everything stays as it is."))
        return Content.assemble(*parts)

    def action_filter(self) -> None:
        """Type words that a lesson must have."""
        if self._every:
            self._fold()
            self.query_one(Input).add_class("-open").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Leave the lessons that have the words."""
        event.stop()
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes to the lessons that are left."""
        event.stop()
        self.query_one(OptionList).focus()

    def _end_filter(self) -> None:
        field = self.query_one(Input)
        field.remove_class("-open")
        field.value = ""
        self.query_one(OptionList).focus()

    def action_next_view(self) -> None:
        """Let the colours of the heatmap say the next thing."""
        if self._selected() is not None:
            self.query_one(LessonDetail).next_view()

    def action_jump(self, by: int) -> None:
        """Go to the next decision in the heatmap, or back."""
        if self._selected() is not None:
            self.query_one(LessonDetail).jump(by)

    def action_show(self) -> None:
        """Open the lesson at full width."""
        if self._selected() is not None:
            self.add_class("-showing")
            detail = self.query_one(LessonDetail)
            detail.open(opened=True)
            detail.focus()

    def _fold(self) -> None:
        """Go back from a lesson to the list."""
        self.remove_class("-showing")
        self.query_one(LessonDetail).open(opened=False)
        self.query_one(OptionList).focus()

    async def action_back(self) -> None:
        """Stop what was begun here, go back to the list, or return to the conversation."""
        if self._work is not None and self._work.is_running:
            await self._session.interrupt()
        elif self.has_class("-showing"):
            self._fold()
        elif self.query_one(Input).has_class("-open"):
            self._end_filter()
        else:
            self.dismiss()
