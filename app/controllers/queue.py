"""Messages that the user wrote while the agent was at work."""

from __future__ import annotations


class MessageQueue:
    """Gives out one message after the other, the oldest first, and nothing while it is held.

    It is held when the user stops the agent: what was written before that is sent only when
    the user says so again.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._held = False

    @property
    def texts(self) -> tuple[str, ...]:
        """The messages that wait, oldest first."""
        return tuple(self._texts)

    @property
    def held(self) -> bool:
        """Whether the messages wait for the user rather than for the agent."""
        return self._held

    def add(self, text: str) -> None:
        """Put a message at the end; one that is added to held ones is held with them."""
        self._texts.append(text)

    def take(self, index: int = -1) -> str | None:
        """Take a message out, the newest by default; None where there is none."""
        try:
            text = self._texts.pop(index)
        except IndexError:
            return None
        self._held = self._held and bool(self._texts)
        return text

    def next(self) -> str | None:
        """Take the message whose turn it is; None while there is none or they are held."""
        return None if self._held else self.take(0)

    def hold(self) -> None:
        """Keep what waits until `release`."""
        self._held = bool(self._texts)

    def release(self) -> None:
        """Let the messages go when the agent rests."""
        self._held = False
