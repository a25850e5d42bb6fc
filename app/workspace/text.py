"""Text files as bytes: what decoding must not lose, and lines that keep their ends."""

from __future__ import annotations

from dataclasses import dataclass

from .beneath import WorkspaceError

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Text:
    """A decoded file; ``content`` has its line ends as they are and no byte order mark."""

    content: str
    bom: bool = False

    def encode(self, content: str) -> bytes:
        """Encode another content the way this file was encoded."""
        return (_BOM if self.bom else b"") + encode(content)

    @property
    def line_end(self) -> str:
        """The line end that most lines of the file have."""
        return line_end_of(self.content)


def decode(data: bytes, path: str) -> Text:
    """Decode UTF-8 text exactly, or say in words why it is none."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise WorkspaceError(
            f"{path} is UTF-16 text; convert it to UTF-8 first, for example by bash"
        )
    if b"\0" in data:
        raise WorkspaceError(
            f"{path} is a binary file ({len(data):,} bytes); use bash to look at it"
        )
    bom = data.startswith(_BOM)
    try:
        return Text(data[3 * bom :].decode("utf-8"), bom)
    except UnicodeDecodeError as error:
        raise WorkspaceError(
            f"{path} is not UTF-8 text (byte 0x{data[3 * bom + error.start]:02x} at offset "
            f"{3 * bom + error.start}); use bash to look at it or to convert it"
        ) from None


def encode(content: str) -> bytes:
    """Encode text as UTF-8, or say which character cannot be."""
    try:
        return content.encode("utf-8")
    except UnicodeEncodeError as error:
        raise WorkspaceError(
            f"the content has half a character (U+{ord(content[error.start]):04X} at position "
            f"{error.start}) that cannot be written as UTF-8"
        ) from None


def split_lines(content: str) -> list[str]:
    """Split into lines that keep their ends; only ``\\n`` and ``\\r\\n`` end a line."""
    lines = content.split("\n")
    last = lines.pop()
    kept = [line + "\n" for line in lines]
    return [*kept, last] if last else kept


def line_end_of(content: str) -> str:
    """Return the line end that most lines have; ``\\n`` where there is none."""
    crlf = content.count("\r\n")
    return "\r\n" if crlf * 2 > content.count("\n") else "\n"


def with_line_ends(content: str, line_end: str) -> str:
    """Give every line of ``content`` this line end."""
    plain = content.replace("\r\n", "\n")
    return plain if line_end == "\n" else plain.replace("\n", line_end)


def end_of(line: str) -> str:
    """Return the end of one line, empty for a last line without one."""
    if line.endswith("\r\n"):
        return "\r\n"
    return "\n" if line.endswith("\n") else ""


def replace_lines(content: str, start: int, end: int, new: str) -> tuple[str, int]:
    """Replace the lines ``start`` to ``end`` (1-based, inclusive) and count the new ones.

    ``end = start - 1`` inserts before ``start``. New lines take the line end of the line that
    they replace or follow; a missing end of the last line stays missing; no other byte changes.
    """
    lines = split_lines(content)
    before, replaced, after = lines[: start - 1], lines[start - 1 : end], lines[end:]
    plain = new.replace("\r\n", "\n")
    fresh = plain.removesuffix("\n").split("\n") if plain else []
    line_end = end_of((replaced or before[-1:] or after or [""])[0]) or line_end_of(content)
    added = [line + line_end for line in fresh]
    if added and not after:
        if replaced and not end_of(replaced[-1]):
            added[-1] = fresh[-1]
        elif not replaced and before and not end_of(before[-1]):
            before[-1] += line_end
            added[-1] = fresh[-1]
    return "".join([*before, *added, *after]), len(added)
