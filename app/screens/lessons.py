"""`/lessons`: every lesson with its correction, outcome and proof."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from ...widgets.heatmap import HeatmapView
from ...widgets.sanitise import content, one_line, visible
from ..agent.parser import parse_turn
from .learning import token_cells
from .transcript import cost_of

if TYPE_CHECKING:
    from ..controllers.session import SessionController
    from ..store.journal import LessonRecord

SIGNS = {
    "learned": "✓",
    "in_context_only": "○",
    "gated": "–",
    "rolled_back": "↶",
    "undone": "↶",
    "failed": "✗",
    "pending": "…",
}
MEANINGS = {
    "learned": "learned: a retry that did not see the correction followed it",
    "in_context_only": "in context only: the weights are as they were",
    "gated": "nothing to learn: the correction changed nothing where it matters",
    "rolled_back": "rolled back: it would have harmed other answers",
    "undone": "undone by you",
    "failed": "failed: the weights are as they were",
    "pending": "not finished",
}


class LessonsScreen(Screen[None]):
    """A list of lessons and, beside it, the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "back", id="lessons.back"),
        Binding("u", "undo", "undo the newest learned", id="lessons.undo"),
    ]
    DEFAULT_CSS = """
    LessonsScreen {
        OptionList, OptionList:focus { width: 40%; height: 1fr; border: none; }
        #lesson { width: 60%; height: 1fr; padding: 0 1; border-left: solid $panel; }
        HeatmapView { height: auto; max-height: 18; margin-top: 1; }
        .empty { width: 100%; height: 1fr; content-align: center middle; color: $quiet; }
    }
    """

    def __init__(self, session: SessionController) -> None:
        super().__init__()
        self._session = session
        self._records: list[LessonRecord] = []

    def compose(self) -> ComposeResult:
        """The newest lesson comes first."""
        self._records = list(reversed(self._session.lessons()))
        if not self._records:
            yield Static(
                "No lessons yet. Deny a call with n and say what to do instead.", classes="empty"
            )
        else:
            with Horizontal():
                yield OptionList(*(self._option(record) for record in self._records))
                with VerticalScroll(id="lesson"):
                    yield Static(id="facts")
                    yield HeatmapView(id="heatmap")
        yield Footer()

    @staticmethod
    def _option(record: LessonRecord) -> Option:
        text = one_line(record.lesson.correction, 60)
        return Option(Content.assemble(f"{SIGNS[record.standing]} ", text))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show the lesson under the cursor."""
        event.stop()
        record = self._records[event.option_index]
        self.query_one("#facts", Static).update(_facts(record))
        tokens = record.result.tokens if record.result else ()
        heatmap = self.query_one("#heatmap", HeatmapView)
        heatmap.display = bool(tokens)
        heatmap.show(token_cells(tokens))

    async def action_undo(self) -> None:
        """Take back the newest learned lesson and show the list anew."""
        await self._session.undo()
        await self.recompose()

    def action_back(self) -> None:
        """Return to the conversation."""
        self.dismiss()


def _call_of(text: str) -> str:
    """The call in a turn on one line, or the turn where it holds none."""
    call = parse_turn(text).call
    return f"{call.name} {json.dumps(call.arguments)}" if call else text


def _facts(record: LessonRecord) -> Content:
    when = datetime.fromtimestamp(record.time).astimezone().strftime("%Y-%m-%d %H:%M")
    request = next((m.content for m in reversed(record.lesson.messages) if m.role == "user"), "")
    rows: list[tuple[str, str]] = [
        ("when", when),
        ("request", one_line(request)),
        (
            "denied" if record.lesson.kind == "deny" else "edited",
            _call_of(record.lesson.completion.text),
        ),
        ("correction", record.lesson.correction),
        ("standing", MEANINGS[record.standing]),
    ]
    call = record.lesson.solution
    if call is not None:
        rows.insert(3, ("you ran", f"{call.name} {json.dumps(call.arguments)}"))
    result = record.result
    if result is not None:
        rows.append(("why", result.reason))
        if result.retry is not None:
            rows.append(("proof" if result.proved else "retry", _call_of(result.retry.text)))
        rows.append(("cost", cost_of(result)))
    lines = [
        Content.assemble((f"{name:<11}", "$quiet"), content(visible(text).strip()), "\n")
        for name, text in rows
    ]
    return Content("").join(lines)
