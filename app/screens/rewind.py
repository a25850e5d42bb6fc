"""`/rewind`: which request to go back to, and what becomes of the files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...widgets.key_footer import KeyFooter
from ...widgets.sanitise import content, one_line, visible
from ..workspace.checkpoints import Plan

Choice = Literal["conversation", "files", "all"]
MOST_NAMED = 200


class RequestList(OptionList):
    """The requests; Enter goes back to before one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "go back to before it", id="rewind.choose"),
    ]


class RewindScreen(Screen[int]):
    """The requests that the model sees, newest first; closes with the place of the chosen one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "back", id="rewind.back"),
    ]
    DEFAULT_CSS = """
    RewindScreen {
        RequestList, RequestList:focus { height: 1fr; border: none; padding: 0 1; }
        .title { height: 2; padding: 0 1; color: $quiet; }
    }
    """

    def __init__(self, requests: Sequence[str]) -> None:
        super().__init__()
        self._requests = tuple(requests)

    def compose(self) -> ComposeResult:
        """What choosing does, and the requests."""
        yield Static("Go back to before which request?", classes="title")
        yield RequestList()
        yield KeyFooter()

    def on_mount(self) -> None:
        """Begin at the newest."""
        self._listing.focus()

    @property
    def _listing(self) -> RequestList:
        return self.query_one(RequestList)

    def on_resize(self) -> None:
        """Cut each request where the screen ends."""
        at = self._listing.highlighted or 0
        width = max(20, self.size.width - 4)
        self._listing.clear_options()
        self._listing.add_options(
            Option(content(one_line(text, 400)).truncate(width, ellipsis=True))
            for text in reversed(self._requests)
        )
        self._listing.highlighted = at

    @on(OptionList.OptionSelected)
    def chosen(self, event: OptionList.OptionSelected) -> None:
        """Close with the request."""
        event.stop()
        self.dismiss(len(self._requests) - 1 - event.option_index)

    def action_back(self) -> None:
        """Leave everything as it is."""
        self.dismiss(None)


class RestoreScreen(ModalScreen[Choice]):
    """Names what would happen to the files, and asks whether it shall."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "choose('conversation')", "conversation only", id="restore.conversation"),
        Binding("f", "choose('files')", "files too", id="restore.files"),
        Binding("a", "choose('all')", "all files", id="restore.all"),
        Binding("escape,q", "back", "back", id="restore.back"),
    ]
    DEFAULT_CSS = """
    RestoreScreen { align: center middle; }
    RestoreScreen > Vertical {
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $warning; padding: 0 1;
    }
    RestoreScreen VerticalScroll { height: auto; max-height: 1fr; }
    RestoreScreen .keys { height: auto; margin: 1 0 0 0; }
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def compose(self) -> ComposeResult:
        """The files by what would happen to them, and the keys."""
        plan = self._plan
        with Vertical() as box:
            box.border_title = "rewind"
            with VerticalScroll():
                yield Static(_parts(plan))
            yield Static(self._keys(), classes="keys")

    def _keys(self) -> Content:
        plan = self._plan
        parts: list[str | tuple[str, str]] = [("c", "bold"), " conversation only"]
        if plan.write or plan.remove:
            parts += ["\n", ("f", "bold"), " conversation and files"]
            parts += [", except those that you changed"] if plan.yours else []
        if plan.yours:
            parts += ["\n", ("a", "bold"), " conversation and all files, yours too"]
        return Content.assemble(*parts, "\n", ("Esc", "bold"), " back")

    def action_choose(self, choice: Choice) -> None:
        """Close with the choice, where there is something to choose."""
        plan = self._plan
        if (choice == "files" and not (plan.write or plan.remove)) or (
            choice == "all" and not plan.yours
        ):
            return
        self.dismiss(choice)

    def action_back(self) -> None:
        """Leave everything as it is."""
        self.dismiss(None)


def named(paths: Sequence[str]) -> str:
    """Paths, one a line."""
    lines = [f"  {visible(path, keep='')}" for path in paths[:MOST_NAMED]]
    more = len(paths) - MOST_NAMED
    return "\n".join([*lines, *([f"  and {more:,} more"] if more > 0 else [])])


def _parts(plan: Plan) -> Content:
    heads = (
        ("Brought back as they were:", plan.write, "bold"),
        ("Removed, because the agent made them:", plan.remove, "bold"),
        ("You changed these since:", plan.yours, "bold $text-warning"),
    )
    blocks = [
        Content.assemble(content(head, style), "\n", Content(named(paths)))
        for head, paths, style in heads
        if paths
    ]
    if plan.stay:
        one = len(plan.stay) == 1
        stay = "1 newer file stays" if one else f"{len(plan.stay):,} newer files stay"
        blocks.append(Content.styled(f"{stay} where {'it is' if one else 'they are'}.", "$quiet"))
    return Content("\n").join(blocks)
