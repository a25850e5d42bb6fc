"""`/lessons`: every lesson, whether it holds, and the keys to check and to take back."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from ...training.adapter_messages import is_import
from ...widgets.heatmap import HeatmapView
from ...widgets.sanitise import content, one_line, visible
from .. import events as said
from ..call_words import cost_of
from ..lesson_words import facts, short
from .confirm import ConfirmScreen
from .learning import token_cells

if TYPE_CHECKING:
    from ..controllers.session import SessionController
    from ..store.journal import LessonRecord

SIGNS = {
    "learned": "✓",
    "in_context_only": "○",
    "gated": "–",
    "rolled_back": "↶",
    "undone": "↶",
    "forgotten": "↶",
    "failed": "✗",
    "pending": "…",
}
EMPTY = "No lessons yet. Deny a call with n and say what to do instead."


class LessonsScreen(Screen[None]):
    """A list of lessons and, where there is room beside it, the one under the cursor."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal")]  # noqa: RUF012 - declared so by Screen
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "back", id="lessons.back"),
        Binding("c", "check", "check", id="lessons.check"),
        Binding("s,enter", "show", "show", id="lessons.show"),
        Binding("u", "undo", "undo", id="lessons.undo"),
        Binding("f", "forget", "forget", id="lessons.forget"),
        Binding("r", "replay", "replay", id="lessons.replay"),
    ]
    DEFAULT_CSS = """
    LessonsScreen {
        OptionList, OptionList:focus { width: 40%; height: 1fr; border: none; }
        #lesson { width: 60%; height: 1fr; padding: 0 1; border-left: solid $panel; }
        #lesson:focus { border-left: solid $primary; }
        #news { height: auto; max-height: 3; padding: 0 1; color: $quiet; display: none; }
        #news.-said { display: block; }
        #news.-warning { color: $warning; }
        HeatmapView { height: auto; max-height: 18; margin-top: 1; }
        #empty { width: 100%; height: 1fr; content-align: center middle; color: $quiet; }
        &.-narrow OptionList { width: 100%; }
        &.-narrow #lesson { width: 100%; border-left: none; display: none; }
        &.-narrow.-showing OptionList { display: none; }
        &.-narrow.-showing #lesson { display: block; }
    }
    """

    def __init__(self, session: SessionController) -> None:
        super().__init__()
        self._session = session
        self._records: list[LessonRecord] = []
        self._work: Worker[Any] | None = None

    def compose(self) -> ComposeResult:
        """The newest lesson comes first."""
        yield Static(EMPTY, id="empty")
        with Horizontal():
            yield OptionList()
            with VerticalScroll(id="lesson"):
                yield Static(id="facts")
                yield HeatmapView(id="heatmap")
        yield Static(id="news", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Show what there is."""
        self._draw()
        self.query_one(OptionList).focus()

    # --- what is shown ------------------------------------------------------------------

    def _draw(self) -> None:
        """Show the lessons as they stand now, with the cursor where it was."""
        listing, before = self.query_one(OptionList), self._selected()
        self._records = list(reversed(self._session.lessons()))
        self.query_one("#empty").display = not self._records
        self.query_one(Horizontal).display = bool(self._records)
        listing.clear_options()
        listing.add_options([self._option(record) for record in self._records])
        names = [record.lesson.id for record in self._records]
        if names:
            known = before is not None and before.lesson.id in names
            listing.highlighted = names.index(before.lesson.id) if before and known else 0
            self._show_selected()

    def _option(self, record: LessonRecord) -> Option:
        """One line, and a second where the lesson was lost; without colours, for the cursor's."""
        text = one_line(record.lesson.correction, 60)
        if not record.lost or record.check is None:
            return Option(Content(f"{SIGNS[record.standing]} {text}"))
        names = [each for each in self._records if each.lesson.id in record.check.suspects]
        later = "a later one"
        if len(record.check.suspects) == 1 and is_import(record.check.suspects[0]):
            later = "an imported adapter"
        elif len(names) == len(record.check.suspects) == 1:
            later = f"“{one_line(names[0].lesson.correction, 40)}”"
        return Option(Content(f"! {text}\n↳ lost to {later}"))

    def _selected(self) -> LessonRecord | None:
        at = self.query_one(OptionList).highlighted
        return self._records[at] if at is not None and at < len(self._records) else None

    def _show_selected(self) -> None:
        record = self._selected()
        if record is None:
            return
        self.query_one("#facts", Static).update(_facts(record, self._records))
        tokens = record.result.tokens if record.result else ()
        heatmap = self.query_one("#heatmap", HeatmapView)
        heatmap.display = bool(tokens)
        heatmap.show(token_cells(tokens))

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
        match event:
            case said.SuiteProgress(message=message, fraction=fraction):
                self._tell(message if fraction is None else f"{message} · {fraction:.0%}")
            case said.LessonStarted(lesson=lesson):
                self._tell(f"Learning “{one_line(lesson.correction, 60)}”")
            case said.LessonStage(stage=stage, detail=detail):
                self._tell(f"Learning: {stage} {detail}".rstrip())
            case said.LessonFinished(result=result):
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
        """Take back the newest learned lesson."""
        self._do(self._session.undo(), "undo the newest lesson")

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
            self._tell(
                "Only a learned lesson can be forgotten; the adapter does not hold this one."
            )
            return
        identifier = record.lesson.id

        def answered(yes: bool | None) -> None:
            if yes:
                self._do(self._session.forget(identifier), "forget a lesson")

        question = ConfirmScreen("forget", self._question(record), "forget it", "keep it")
        self.app.push_screen(question, answered)

    def _question(self, record: LessonRecord) -> Content:
        at = self._records.index(record)
        later = sum(1 for each in self._records[:at] if each.standing == "learned")
        lessons = "the later lesson is" if later == 1 else f"the {later} later lessons are"
        follow = f", and {lessons} learned again one by one" if later else ""
        return Content.assemble(
            (f"“{one_line(record.lesson.correction, 120)}”", "bold"),
            f"\n\nThe adapter goes back to before this lesson{follow}. Should that fail or be "
            "stopped, everything stays as it is.",
        )

    def action_show(self) -> None:
        """Go to the lesson itself, which has the whole screen where that is narrow."""
        if self._selected() is not None:
            self.add_class("-showing")
            self.query_one("#lesson").focus()

    async def action_back(self) -> None:
        """Stop what was begun here, go back to the list, or return to the conversation."""
        if self._work is not None and self._work.is_running:
            await self._session.interrupt()
        elif self.has_class("-showing"):
            self.remove_class("-showing")
            self.query_one(OptionList).focus()
        else:
            self.dismiss()


def _facts(record: LessonRecord, records: list[LessonRecord]) -> Content:
    rows = [(name, short(text) if name == "id" else text) for name, text in facts(record, records)]
    if record.result is not None:
        rows.append(("cost", cost_of(record.result)))
    lines = [
        Content.assemble((f"{name:<11}", "$quiet"), content(visible(text).strip()), "\n")
        for name, text in rows
    ]
    return Content("").join(lines)
