"""The command palette: every slash command, every theme and every page, found by a few letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Hits, Provider

from ..widgets.sanitise import visible
from . import commands
from .screens.chat import ChatScreen

if TYPE_CHECKING:
    from textual.app import App


class CommandProvider(Provider):
    """Offers what could also be typed after a slash; what needs words is put into the prompt."""

    async def discover(self) -> Hits:
        """Everything, before a letter is typed."""
        for title, words, do in self._offers():
            yield DiscoveryHit(visible(title), do, help=visible(words))

    async def search(self, query: str) -> Hits:
        """What fits the letters, best first."""
        matcher = self.matcher(query)
        for title, words, do in self._offers():
            score = max(matcher.match(title), 0.8 * matcher.match(words))
            if score > 0:
                yield Hit(score, matcher.highlight(visible(title)), do, help=visible(words))

    def _offers(self) -> Iterator[tuple[str, str, Callable[[], Awaitable[None]]]]:
        chat = _chat(self.app)
        if chat is None:
            return
        for command in commands.COMMANDS:
            yield command.title, command.help, partial(_run, chat, command)
        for name in chat.theme_names():
            yield f"theme {name}", "change the colours", partial(_theme, chat, name)


def _chat(app: App[object]) -> ChatScreen | None:
    found = [screen for screen in app.screen_stack if isinstance(screen, ChatScreen)]
    return found[0] if found else None


async def _run(chat: ChatScreen, command: commands.Command) -> None:
    if command.takes_text:
        chat.write(f"/{command.name} ")
    else:
        chat.run_worker(
            command.run(chat, ""), group="command", exit_on_error=True, description="run a command"
        )


async def _theme(chat: ChatScreen, name: str) -> None:
    chat.use_theme(name)
