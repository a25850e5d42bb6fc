"""Text files as bytes: what decoding must not lose, and lines that keep their ends."""

from __future__ import annotations

from dataclasses import dataclass

from .beneath import WorkspaceError

UTF_8, LATIN_1 = "utf-8", "latin-1"
# The marks of UTF-32 begin like those of UTF-16, so they come first.
_MARKS = {
    b"\xff\xfe\0\0": "utf-32-le",
    b"\0\0\xfe\xff": "utf-32-be",
    b"\xef\xbb\xbf": UTF_8,
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
# Control characters that text has: backspace to carriage return, and escape.
_NO_TEXT = frozenset({*range(0x08), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F})


@dataclass(frozen=True, slots=True)
class Text:
    """A decoded file; ``content`` has its line ends as they are and no byte order mark."""

    content: str
    mark: bytes = b""
    encoding: str = UTF_8

    def encode(self, content: str) -> bytes:
        """Encode another content the way this file is encoded, or say what cannot be."""
        return self.mark + encode(content, self.encoding)

    @property
    def line_end(self) -> str:
        """The line end that most lines of the file have."""
        return line_end_of(self.content)


def decode(data: bytes, path: str) -> Text:
    """Decode text so that encoding it gives the same bytes, or say in words why it is none.

    Without a mark it is UTF-8, and Latin-1 where it cannot be that: each byte is a character,
    so that what is not changed stays, whatever the real encoding is.
    """
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    encoding = _MARKS.get(mark, UTF_8)
    body = data[len(mark) :]
    try:
        content = body.decode(encoding)
        if "\0" in content:
            raise _binary(data, path)
        return Text(content, mark, encoding)
    except UnicodeDecodeError as error:
        if mark:
            name = encoding[:6].upper().rstrip("-")
            raise WorkspaceError(
                f"{path} begins like {name} text but is none (byte 0x{body[error.start]:02x} at "
                f"offset {len(mark) + error.start}); use bash to look at it or to convert it"
            ) from None
    if not _NO_TEXT.isdisjoint(body):  # NUL among them
        raise _binary(data, path)
    return Text(body.decode(LATIN_1), b"", LATIN_1)


def _binary(data: bytes, path: str) -> WorkspaceError:
    return WorkspaceError(f"{path} is a binary file ({len(data):,} bytes); use bash to look at it")


def encode(content: str, encoding: str = UTF_8) -> bytes:
    """Encode text, or say which character cannot be."""
    try:
        return content.encode(encoding)
    except UnicodeEncodeError as error:
        character = content[error.start]
        if "\ud800" <= character <= "\udfff":
            raise WorkspaceError(
                f"the content has half a character (U+{ord(character):04X} at position "
                f"{error.start}) that cannot be written as text"
            ) from None
        raise WorkspaceError(
            f"the file is not UTF-8 but has one byte for each character, and {character!r} "
            f"(U+{ord(character):04X}) cannot be written so; convert the file to UTF-8 first"
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
