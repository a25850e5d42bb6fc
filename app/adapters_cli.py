"""`continualcode-tui adapters`: the kept adapters without a screen, listed, switched, imported."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from .adapter_words import rows, table, taken_back
from .columns import columns
from .settings import SettingsError, load_settings
from .verbs import (
    DONE,
    ENGINE,
    USAGE,
    Grammar,
    Misuse,
    Run,
    json_line,
    one_line,
    parse,
    terminal_width,
    write,
)
from .workspace.visible import visible

GRAMMAR = Grammar(
    verbs=("list", "use", "import", "export"),
    synopsis=(
        "continualcode-tui adapters [list|use SNAPSHOT|import PATH|export [FOLDER]] "
        "[--json] [key=value ...]"
    ),
    needs={
        "use": "the name of a snapshot; `adapters list` shows them",
        "import": "the path of a PEFT folder or of a .safetensors file",
    },
    takes=("export",),
)


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit status."""
    try:
        order = parse(arguments, GRAMMAR)
        settings = load_settings(order.settings)
    except (Misuse, SettingsError) as error:
        print(f"continualcode-tui adapters: {visible(str(error))}", file=sys.stderr)
        return USAGE
    return asyncio.run(
        AdaptersRun(settings, Path.cwd(), as_json=order.as_json).go(order.verb, order.what)
    )


class AdaptersRun(Run):
    """One verb of `adapters`; all of them ask the worker, which may keep the adapters elsewhere."""

    def verbs(self, what: str | None) -> Mapping[str, Callable[[], Awaitable[int]]]:
        """What each verb does with the word after it."""
        return {
            "list": self._list,
            "use": lambda: self._use(what or ""),
            "import": lambda: self._import(what or ""),
            "export": lambda: self.export(what),
        }

    async def _list(self) -> int:
        listed = await self.session.adapters()
        if listed is None:
            return ENGINE
        lessons = self.session.lessons()
        if self.as_json:
            write(*map(json_line, rows(listed, lessons)))
        else:
            cells = [[one_line(cell) for cell in row] for row in table(listed, lessons)]
            write(*columns(cells, terminal_width()))
        return DONE

    async def _use(self, snapshot: str) -> int:
        undone = await self.session.use_adapter(snapshot)
        if undone is None:
            return ENGINE
        line = {"event": "used", "snapshot": undone.snapshot}
        moved = {"taken_back": taken_back(undone), "learned_again": list(undone.again)}
        self.print(line | moved)
        return DONE

    async def _import(self, path: str) -> int:
        imported = await self.session.import_adapter(path)
        if imported is None:
            return ENGINE
        self.print({"event": "imported", **imported.model_dump(include={"snapshot", "notice"})})
        return DONE
