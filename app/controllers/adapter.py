"""The adapter as a whole: switched, turned off, imported, and the journal told of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ...training.adapter_messages import BASE, is_import
from ...training.client import WorkerDied
from ...training.protocol import AdapterList, Imported, Loaded, Undone
from ..adapter_words import TURNED_OFF, TURNED_ON, counted, standing, taken_back
from ..events import AdapterMoved, AgentEvent, Notice
from ..store.journal import Journal, JournalError
from .engine import EngineController, EngineError
from .turn import carried


class AdapterController:
    """Moves between the kept snapshots; its methods raise what the engine raises."""

    def __init__(
        self,
        *,
        engine: EngineController,
        journal: Journal,
        present: Callable[[AgentEvent], None],
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._present = present
        self._unsettled: Loaded | None = None

    def describe(self) -> str:
        """What is current, and whether it is on."""
        loaded = self._engine.loaded
        return standing(
            enabled=self._engine.adapter_on,
            snapshot=loaded.snapshot if loaded else None,
            lessons=len(self._journal.learned),
        )

    async def undo(self) -> Undone:
        """Take back what the current snapshot added: the newest lesson, or an import."""
        undone = await self._engine.undo()
        name = undone.undone_lesson
        if name is None:
            self._say("There is no lesson to take back.")
            return undone
        self._present(AdapterMoved())
        if is_import(name):
            self._write(self._journal.add_switched)
            self._say("The imported adapter was taken back.")
        else:
            record = self._journal.lesson(name)
            if undone.again:
                self._write_switch(undone)
            elif record is not None:
                self._write(lambda: self._journal.add_undone(name))
            words = f" \u201c{record.lesson.correction}\u201d" if record else ""
            self._say(f"The lesson{words} was taken back.")
        return undone

    async def use(self, name: str) -> Undone | None:
        """Switch to the kept snapshot whose name begins so; None when there is no such one."""
        listed = await self._engine.adapters()
        found = self._find(listed, name)
        if found is None:
            return None
        if found == (listed.current or BASE):
            self._say(f"The adapter is at {found} already.")
            return Undone(snapshot=listed.current, lesson=None, undone_lesson=None)
        undone = await self._engine.undo(found)
        gone = self._write_switch(undone)
        self._present(AdapterMoved())
        now = "the model as it came" if undone.snapshot is None else f"snapshot {undone.snapshot}"
        words = [f"The adapter is now {now}"]
        if gone:
            words.append(counted(len(gone), "lesson is taken back", "lessons are taken back"))
        if undone.again:
            count = len(undone.again)
            words.append(counted(count, "lesson is learned again", "lessons are learned again"))
        self._say("; ".join(words) + self._still_off())
        return undone

    async def enable(self, *, enabled: bool) -> None:
        """Turn the adapter on or off for this session."""
        await self._engine.enable_adapter(enabled=enabled)
        self._say(TURNED_ON if enabled else TURNED_OFF)

    async def take_in(self, path: str) -> Imported:
        """Import an adapter on top of the present one."""
        imported = await self._engine.import_adapter(path)
        self._write(self._journal.add_switched)
        self._say(
            f"The adapter was imported as snapshot {imported.snapshot} in place of the weights "
            f"before it; undo takes it back{self._still_off()}"
        )
        if imported.notice:
            self._say(imported.notice, warning=True)
        if self._journal.learned:
            self._say("Earlier lessons may not hold under it; a check in /lessons says which do.")
        return imported

    def note_loaded(self, loaded: Loaded) -> None:
        """A worker has loaded the adapter, whose lessons are compared with the journal's."""
        self._unsettled = loaded

    async def reconcile(self) -> None:
        """Bring the journal to the adapter, where a switch did not reach it before the end."""
        loaded, self._unsettled = self._unsettled, None
        learned = self._journal.learned
        if loaded is None or loaded.read_only or self._journal.read_only:
            return
        newest = learned[-1] if learned else None
        if (loaded.lessons, loaded.lesson) == (len(learned), newest):
            return
        with suppress(EngineError, WorkerDied):
            gone, again = _difference(await self._engine.adapters(), learned)
            again = {name: at for name, at in again.items() if self._journal.lesson(name)}
            if gone or again:
                self._write(lambda: self._journal.add_switched(gone, again))

    # --- within -------------------------------------------------------------------------

    def _find(self, listed: AdapterList, name: str) -> str | None:
        """The snapshot that is meant, by the beginning of its name or by its number."""
        names = [each.id for each in listed.snapshots]
        wanted = f"{int(name):06d}" if name.isdecimal() else name.lower()
        found = [each for each in names if each.startswith(wanted)] if wanted else []
        if wanted == BASE or wanted in names:
            found = [wanted]
        if len(found) != 1:
            many = f"{len(found)} snapshots begin with {name}; give more of the name."
            none = f"There is no snapshot {name}; {BASE} and {len(names)} more are listed."
            self._say(many if found else none, warning=True)
            return None
        return found[0]

    def _still_off(self) -> str:
        return "." if self._engine.adapter_on else ". It is still off."

    def _write_switch(self, undone: Undone) -> list[str]:
        """Tell the journal which lessons went and came; those that went."""
        gone = taken_back(undone)
        self._write(lambda: self._journal.add_switched(gone, undone.again))
        return gone

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except JournalError as error:
            self._say(str(error), warning=True)

    def _say(self, text: str, *, warning: bool = False) -> None:
        self._present(Notice(text, "warning" if warning else "information"))


def _difference(listed: AdapterList, learned: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """The lessons that the journal holds to be learned and the adapter does not, and the others.

    Nothing is said of lessons that no manifest tells of, nor where the chain is broken.
    """
    known = {each.id: each for each in listed.snapshots}
    held: dict[str, str] = {}
    at = listed.current
    while at is not None:
        if at not in known:
            return [], {}
        if not is_import(known[at].lesson):
            held.setdefault(known[at].lesson, at)
        at = known[at].parent
    told = {each.lesson for each in listed.snapshots}
    gone = [name for name in learned if name in told and name not in held]
    return gone, {name: held[name] for name in reversed(held) if name not in learned}


def absolute(path: str) -> str:
    """Where a path that the user typed lies; the worker may have another folder."""
    whole = Path(carried(path))
    with suppress(RuntimeError):  # there is no such user's home; the worker says so
        whole = whole.expanduser()
    return str(whole.absolute())
