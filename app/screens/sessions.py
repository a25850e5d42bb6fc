"""`/sessions`: the kept conversations of this repository, to search, resume, rename, delete."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ...widgets.field import Field
from ...widgets.key_footer import KeyFooter
from ...widgets.sanitise import content, one_line
from ..lesson_words import when
from .confirm import ConfirmScreen

if TYPE_CHECKING:
    from ..controllers.sessions import SessionsController
    from ..store.sessions import SessionFacts

EMPTY = "No sessions yet. What you ask is kept here as you go."
NOTHING = "No session has these words."


class SessionList(OptionList):
    """The sessions; the keys for one of them mean something only here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "resume", id="sessions.resume"),
        Binding("r", "screen.rename", "rename", id="sessions.rename"),
        Binding("d", "screen.delete", "delete", id="sessions.delete"),
        Binding("slash", "screen.search", "search", key_display="/", id="sessions.search"),
    ]


class NewTitle(Field):
    """Where a session gets another title."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "rename", id="sessions.write"),
    ]


class SessionsScreen(Screen[None]):
    """A list of sessions below a search; typing in the list begins a search."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="sessions.back"),
        Binding("down", "move(1)", show=False, id="sessions.down"),
        Binding("up", "move(-1)", show=False, id="sessions.up"),
    ]
    DEFAULT_CSS = """
    SessionsScreen {
        #search, #rename, #search:focus, #rename:focus { border: none; height: 1; }
        #search, #search:focus { margin: 0 0 1 0; padding: 0 1; background: $surface; }
        #rename, #rename:focus { width: 1fr; padding: 0; background: $surface; }
        #renaming { display: none; height: 1; padding: 0 1; background: $surface; }
        #renaming Static { width: auto; color: $quiet; }
        &.-renaming #renaming { display: block; }
        SessionList, SessionList:focus { height: 1fr; border: none; padding: 0 1; }
        #empty { width: 100%; height: 1fr; content-align: center middle; color: $quiet; }
        #news { height: auto; max-height: 3; padding: 0 1; color: $warning; display: none; }
        #news.-said { display: block; }
    }
    """

    def __init__(self, sessions: SessionsController) -> None:
        super().__init__()
        self._sessions = sessions
        self._every: list[SessionFacts] = []
        self._found: list[SessionFacts] = []

    def compose(self) -> ComposeResult:
        """The search above, the list, and one line for what cannot be done."""
        yield Field(placeholder="type to search; enter resumes", id="search", select_on_focus=False)
        yield Static("", id="empty", markup=False)
        yield SessionList()
        with Horizontal(id="renaming"):
            yield Static("new title ")
            yield NewTitle(id="rename")
        yield Static(id="news", markup=False)
        yield KeyFooter()

    async def on_mount(self) -> None:
        """Show what there is."""
        self._listing.focus()
        await self._load()

    async def _load(self) -> None:
        """Read the sessions, off the interface's thread."""
        self._every = await asyncio.to_thread(self._sessions.saved)
        if self.is_attached:
            self._draw()

    # --- what is shown ------------------------------------------------------------------

    @property
    def _listing(self) -> SessionList:
        return self.query_one(SessionList)

    @property
    def _search(self) -> Input:
        return self.query_one("#search", Input)

    def _draw(self) -> None:
        """Show the sessions that the search finds, with the cursor where it was."""
        before = self._selected()
        words = self._search.value.casefold().split()
        self._found = [each for each in self._every if _matches(each, words)]
        self._listing.clear_options()
        width = max(20, self.size.width - 4)
        self._listing.add_options([self._option(each, width) for each in self._found])
        names = [each.id for each in self._found]
        if names:
            at = names.index(before.id) if before is not None and before.id in names else 0
            self._listing.highlighted = at
        self._listing.display = bool(names)
        empty = self.query_one("#empty", Static)
        empty.display = not names
        empty.update(NOTHING if self._every else EMPTY)

    def _option(self, facts: SessionFacts, width: int) -> Option:
        """The title, and below it the facts."""
        title = content(one_line(facts.title or "(no request)", 400))
        count = f"{facts.messages} message{'' if facts.messages == 1 else 's'}"
        parts = [when(facts.saved), count, one_line(facts.model, 60)]
        parts += ["open now"] if facts.id == self._sessions.current else []
        second = content("  " + " · ".join(filter(None, parts)))
        lines = (line.truncate(width, ellipsis=True) for line in (title, second))
        return Option(Content("\n").join(lines))

    def _selected(self) -> SessionFacts | None:
        at = self._listing.highlighted
        return self._found[at] if at is not None and at < len(self._found) else None

    def _say(self, text: str | None) -> None:
        news = self.query_one("#news", Static)
        news.update(content(one_line(text or "", 400)))
        news.set_class(bool(text), "-said")

    def on_resize(self) -> None:
        """Cut the titles where the screen ends now."""
        self._draw()

    # --- searching ----------------------------------------------------------------------

    @on(Input.Changed, "#search")
    def search_changed(self, event: Input.Changed) -> None:
        """Show what is found."""
        event.stop()
        self._draw()

    def on_key(self, event: events.Key) -> None:
        """Any letter without a meaning of its own begins a search."""
        taken = event.key in self.active_bindings
        if self._listing.has_focus and event.is_printable and event.character and not taken:
            event.stop()
            self._search.focus()
            self._search.insert_text_at_cursor(event.character)

    def action_search(self) -> None:
        """Go to the search."""
        self._search.focus()

    def action_move(self, step: int) -> None:
        """From the search the arrows choose in the list."""
        if self._found:
            at = (self._listing.highlighted or 0) + step
            self._listing.highlighted = min(max(at, 0), len(self._found) - 1)

    # --- what can be asked --------------------------------------------------------------

    @on(Input.Submitted, "#search")
    def search_submitted(self, event: Input.Submitted) -> None:
        """Enter in the search resumes what is highlighted."""
        event.stop()
        self.action_resume()

    @on(OptionList.OptionSelected)
    def chosen(self, event: OptionList.OptionSelected) -> None:
        """Enter in the list, or a click, resumes."""
        event.stop()
        self.action_resume()

    def action_resume(self) -> None:
        """Go on with the session under the cursor."""
        facts = self._selected()
        if facts is None:
            return
        problem = self._sessions.resume(facts.id)
        if problem is None:
            self.dismiss()
        else:
            self._say(problem)

    def action_rename(self) -> None:
        """Ask for another title."""
        facts = self._selected()
        if facts is not None:
            self._say(None)
            self.add_class("-renaming")
            box = self.query_one("#rename", Field)
            box.put(facts.title)
            box.focus()

    @on(Input.Submitted, "#rename")
    async def renamed(self, event: Input.Submitted) -> None:
        """Give the session its new title."""
        event.stop()
        facts = self._selected()
        if facts is not None:
            self._say(self._sessions.rename(facts.id, self.query_one("#rename", Field).meant))
            await self._load()
        self._end_renaming()

    def _end_renaming(self) -> None:
        self.remove_class("-renaming")
        self._listing.focus()

    def action_delete(self) -> None:
        """Delete the session under the cursor, after a question."""
        facts = self._selected()
        if facts is None:
            return
        if facts.id == self._sessions.current:
            self._say(self._sessions.delete(facts.id))
            return

        async def answered(yes: bool | None) -> None:
            if yes:
                self._say(self._sessions.delete(facts.id))
                await self._load()

        words = Content.assemble(
            (f"“{one_line(facts.title, 120)}”", "bold"),
            "\n\nThe conversation is deleted for good. Lessons stay learned.",
        )
        self.app.push_screen(ConfirmScreen("delete", words, "delete it", "keep it"), answered)

    def action_back(self) -> None:
        """End the renaming, then the search, then return to the conversation."""
        if self.has_class("-renaming"):
            self._end_renaming()
        elif self._search.value:
            self._search.value = ""
            self._listing.focus()
        else:
            self.dismiss()


def _matches(facts: SessionFacts, words: list[str]) -> bool:
    text = f"{facts.title} {facts.model} {when(facts.saved)}".casefold()
    return all(word in text for word in words)
