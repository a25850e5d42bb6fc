"""The slash commands: one entry, one handler, one help line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Protocol

from .adapter_words import table
from .columns import columns

if TYPE_CHECKING:
    from .controllers.session import SessionController
    from .events import Severity


class CommandHost(Protocol):
    """What a command may do to the screen it was typed in."""

    session: SessionController

    def say(self, text: str, severity: Severity = "information") -> None:
        """Put one sentence into the conversation."""
        ...

    def show(self, screen: str) -> None:
        """Open a screen by name: help, welcome, metrics, lessons, settings and so on."""
        ...

    async def clear_conversation(self) -> None:
        """Begin a new conversation."""
        ...

    def compact_conversation(self) -> None:
        """Shorten what the model sees."""
        ...

    def use_theme(self, name: str) -> None:
        """Change the theme, or say which there are."""
        ...

    def copy(self, what: str) -> None:
        """Put an answer, or what a tool printed, on the clipboard."""
        ...

    async def leave(self) -> None:
        """Save what there is and end the program."""
        ...


Handler = Callable[[CommandHost, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Command:
    """One slash command."""

    name: str
    help: str
    run: Handler
    usage: str = ""

    @property
    def title(self) -> str:
        """The command as it is typed."""
        return f"/{self.name} {self.usage}".strip()

    @property
    def takes_text(self) -> bool:
        """Whether it means nothing without words after it."""
        return bool(self.usage) and not self.usage.startswith("[")


async def _help(host: CommandHost, _: str) -> None:
    host.show("help")


async def _welcome(host: CommandHost, _: str) -> None:
    host.show("welcome")


async def _clear(host: CommandHost, _: str) -> None:
    await host.clear_conversation()


async def _compact(host: CommandHost, _: str) -> None:
    host.compact_conversation()


async def _sessions(host: CommandHost, _: str) -> None:
    host.show("sessions")


async def _rewind(host: CommandHost, _: str) -> None:
    host.show("rewind")


async def _note(host: CommandHost, text: str) -> None:
    if text:
        host.session.add_note(text)
        return
    notes = host.session.notes
    if notes:
        host.say("Notes for the next correction:\n" + "\n".join(f"- {note}" for note in notes))
    else:
        host.say("No notes yet. /note TEXT keeps one for the teacher of the next correction.")


async def _metrics(host: CommandHost, order: str) -> None:
    verb, _, folder = order.partition(" ")
    if verb.lower() == "export":
        from .metrics_export import export_in_words

        host.say(*await export_in_words(host.session, folder.strip() or None))
    elif verb:
        host.say(f"/metrics takes {METRICS_USAGE}.", "warning")
    else:
        host.show("metrics")


async def _undo(host: CommandHost, _: str) -> None:
    await host.session.undo()


async def _lessons(host: CommandHost, _: str) -> None:
    host.show("lessons")


async def _save(host: CommandHost, path: str) -> None:
    await host.session.save(path or None)


async def _adapter(host: CommandHost, order: str) -> None:
    verb, _, what = order.partition(" ")
    what = what.strip()
    session = host.session
    match verb.lower():
        case "" if not what:
            host.say(session.describe_adapter())
        case "on" | "off" if not what:
            await session.turn_adapter(on=verb.lower() == "on")
        case "list" if not what:
            listed = await session.adapters()
            if listed is not None:
                host.say("\n".join(columns(table(listed, session.lessons()))))
        case "use" if what:
            await session.use_adapter(what)
        case "import" if what:
            await session.import_adapter(what)
        case _:
            host.say(f"/adapter takes {ADAPTER_USAGE}.", "warning")


async def _rules(host: CommandHost, order: str) -> None:
    approval = host.session.approval
    verb, _, what = order.partition(" ")
    if approval is None:
        host.say("The engine is still starting.")
    elif not order:
        host.say(approval.describe())
    elif verb.lower() == "forget" and what.strip().isdecimal():
        host.say(approval.forget(int(what)))
    else:
        host.say(f"/rules takes {RULES_USAGE}.", "warning")


async def _sandbox(host: CommandHost, _: str) -> None:
    host.say(host.session.toolbox.describe())


async def _copy(host: CommandHost, what: str) -> None:
    host.copy(what)


async def _theme(host: CommandHost, name: str) -> None:
    host.use_theme(name)


async def _settings(host: CommandHost, _: str) -> None:
    host.show("settings")


async def _quit(host: CommandHost, _: str) -> None:
    await host.leave()


RULES_USAGE = "[forget N]"
METRICS_USAGE = "[export [FOLDER]]"
ADAPTER_USAGE = "[off|on|list|use ID|import PATH]"
COMMANDS: tuple[Command, ...] = (
    Command("help", "keys and commands", _help),
    Command("welcome", "the page of the first run: engines, and the keys of a call", _welcome),
    Command("clear", "begin a new conversation; lessons stay learned", _clear),
    Command("compact", "shorten what the model sees; the screen keeps all", _compact),
    Command("sessions", "resume, rename or delete a kept conversation", _sessions),
    Command("rewind", "go back to before a request, with the files or without", _rewind),
    Command("note", "tell the teacher of the next correction something more", _note, "[TEXT]"),
    Command("copy", "put an answer or the last output on the clipboard", _copy, "[N|output]"),
    Command("metrics", "charts and figures; export writes them as files", _metrics, METRICS_USAGE),
    Command("lessons", "every lesson and what came of it", _lessons),
    Command("undo", "take back the newest learned lesson", _undo),
    Command("save", "write the adapter as a PEFT folder", _save, "[FOLDER]"),
    Command("adapter", "which adapter answers; switch it", _adapter, ADAPTER_USAGE),
    Command("rules", "which calls run without asking; forget one", _rules, RULES_USAGE),
    Command("sandbox", "what holds the commands back, and what was tried", _sandbox),
    Command("theme", "change the colours", _theme, "[NAME]"),
    Command("settings", "every setting, what it means and where it comes from", _settings),
    Command("quit", "leave; everything learned is kept", _quit),
)


def find(name: str) -> Command | None:
    """The command with this name, if there is one."""
    return next((command for command in COMMANDS if command.name == name), None)


async def run(host: CommandHost, line: str) -> None:
    """Run what was typed after the slash; an unknown command is said in words."""
    name, _, argument = line.removeprefix("/").strip().partition(" ")
    command = find(name.lower())
    if command is not None:
        await command.run(host, argument.strip())
        return
    near = get_close_matches(name, [command.name for command in COMMANDS], n=1)
    hint = f" Did you mean /{near[0]}?" if near else ""
    host.say(f"There is no command /{name}.{hint} /help lists them all.", "warning")
