"""How people say things: phrases from the text files, with a small grammar and with noise.

A phrase file holds sections, ``[name]``, of one phrase a line. ``<a|b|>`` in a phrase stands
for one of its parts, and ``{slot}`` for a value. About one phrase in seven is held out: the
training stream never uses it, the evaluation of unseen wordings uses nothing else.
"""

from __future__ import annotations

import re
import string
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from .vocabulary import Names, listed

FILES = ("requests.txt", "corrections.txt", "manners.txt", "talk.txt")
HELD_OUT_PERCENT = 15
# Words of the phrases that name no tool, command or style: only these get typing mistakes.
ORDINARY_WORDS = frozenset(
    listed(
        "the this that please here with instead from just want need should must always "
        "never when what which file files make sure can could would you your our project "
        "because before them there have only really again show open look find don't not "
        "and use run for put add like into rather everything"
    )
)
_CHOICE = re.compile(r"<([^<>]*)>")


@cache
def sections() -> dict[str, tuple[str, ...]]:
    """Read every section of the phrase files."""
    found: dict[str, list[str]] = {}
    for name in FILES:
        lines = found.setdefault("", [])
        for raw in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines():
            line = raw.strip()
            if line.startswith("[") and line.endswith("]"):
                lines = found.setdefault(line[1:-1], [])
            elif line:
                lines.append(line)
    return {name: tuple(lines) for name, lines in found.items() if lines}


@cache
def slots_of(phrase: str) -> frozenset[str]:
    """The slots that a phrase needs."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(phrase) if name)


def is_held_out(section: str, phrase: str) -> bool:
    """Say on which side of the split a phrase stands; it depends on nothing but the phrase."""
    return zlib.crc32(f"{section}/{phrase}".encode()) % 100 < HELD_OUT_PERCENT


@cache
def phrases(section: str, held_out: bool, slots: frozenset[str]) -> tuple[str, ...]:
    """The phrases of a section on one side of the split that these slots can fill."""
    fitting = [line for line in sections().get(section, ()) if slots_of(line) <= slots]
    chosen = [line for line in fitting if is_held_out(section, line) == held_out]
    return tuple(chosen or fitting)


def expand(phrase: str, names: Names) -> str:
    """Take one part of every choice, the innermost first."""
    while "<" in phrase:
        reduced = _CHOICE.sub(lambda found: names.rng.choice(found[1].split("|")), phrase)
        if reduced == phrase:
            break
        phrase = reduced
    return phrase


def say(section: str, names: Names, slots: Mapping[str, str] | None = None) -> str:
    """Say one phrase of a section with these values in its slots."""
    values = {name: value for name, value in (slots or {}).items() if value}
    pool = phrases(section, names.new_wordings, frozenset(values))
    return expand(names.rng.choice(pool), names).format_map(values) if pool else ""


def append(text: str, tail: str) -> str:
    """Put words behind a text; a comma or a full stop follows without a space."""
    return text + tail if tail[:1] in {",", ".", "!", ";", ":"} else f"{text} {tail}"


def ask(text: str, names: Names, *, plain: bool = False) -> str:
    """Say a request the way a person types it; ``plain`` adds nothing after it."""
    if names.chance(0.4):
        text = say("request-lead", names) + " " + text
    if not plain and text[-1] not in "?.!:'\"" and names.chance(0.3):
        text = append(text, say("request-tail", names))
    if names.chance(0.06):
        joint = names.rng.choice((". ", ", ", "; ", " - ", ". now ", ", so "))
        text = say("noise", names, _reason_slots(names)) + joint + text
    if names.chance(0.3):
        text = text[0].upper() + text[1:]
    return text if plain else with_typo(text, names, 0.02)


def with_wish(request: str, names: Names, *, wish: str = "", key: str = "") -> str:
    """A request that says how it is to be done, in a wish or in the words that are enough."""
    if wish and names.chance(0.15):
        wish = append(wish, say("tail", names))
    section, slots = ("asked", {"wish": wish}) if wish else ("asked-key", {"key": key})
    return say(section, names, {**slots, "request": request.rstrip(".!")})


def correct(text: str, names: Names) -> str:
    """Say a correction the way a person types it, sometimes amid words that do not matter."""
    if names.chance(0.38):
        text = say("lead", names) + " " + text
    if names.chance(0.25):
        text = append(text, say("tail", names))
    if names.chance(0.14):
        text += names.rng.choice((" ", ", ")) + say("reason", names, _reason_slots(names))
    if names.chance(0.13):
        text = with_noise(text, names)
    if names.chance(0.03):
        text = _emphasise(text, names)
    roll = names.rng.random()
    if roll < 0.25:
        text = text[0].upper() + text[1:]
    if text[-1].isalnum():
        text += names.rng.choice(("", "", "", "", ".", ".", "!", "!!", "..."))
    return with_typo(text, names, 0.02)


def with_noise(text: str, names: Names) -> str:
    """Put words that mean nothing here before or after a text."""
    noise = names.sentence() if names.chance(0.4) else say("noise", names, _reason_slots(names))
    joint = names.rng.choice((", ", ". ", "; ", " - ", " ... ", " — ", "\n"))
    return noise + joint + text if names.chance(0.55) else text + joint + noise


@cache
def fillers() -> tuple[str, ...]:
    """Words of the phrases that say nothing about any choice, each as often as it occurs."""
    meaning = {word for line in sections()["unfilling"] for word in line.split()}
    lines = (line for lines in sections().values() for line in lines)
    found = (word for line in lines for word in re.findall(r"(?<![{\w'-])[a-z]+(?![}\w'-])", line))
    return tuple(word for word in found if word not in meaning)


def amid(key: str, names: Names) -> str:
    """Put the words that matter amid words that do not, so that nothing but they can be used."""

    def filling(most: int) -> list[str]:
        count = names.rng.randint(0, most)
        return [
            names.known_word() if names.chance(0.3) else names.rng.choice(fillers())
            for _ in range(count)
        ]

    parts = [*filling(6), key, *filling(5)]
    if len(parts) > 3 and names.chance(0.3):
        at = names.rng.randrange(len(parts) - 1)
        parts[at] += names.rng.choice((",", ",", ";", ":", "."))
    return " ".join(parts)


def with_typo(text: str, names: Names, probability: float) -> str:
    """Swap, drop or double a letter of a plain word that no value depends on."""
    if not names.chance(probability):
        return text
    plain = [
        found
        for found in re.finditer(r"(?<![\w./`'\"-])[a-z]{4,}(?![\w./`'\"-])", text)
        if found[0] in ORDINARY_WORDS
    ]
    if not plain:
        return text
    found = names.rng.choice(plain)
    word, at = found[0], names.rng.randrange(1, len(found[0]) - 1)
    typo = names.rng.choice(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        )
    )
    return text[: found.start()] + typo + text[found.end() :]


def _emphasise(text: str, names: Names) -> str:
    found = [
        match
        for match in re.finditer(r"(?<![\w./-])[a-z']{2,}(?![\w./-])", text)
        if match[0] in ORDINARY_WORDS
    ]
    if not found:
        return text
    word = names.rng.choice(found)
    return text[: word.start()] + word[0].upper() + text[word.end() :]


def _reason_slots(names: Names) -> dict[str, str]:
    return {"word": names.word(), "other": names.word(), "number": str(names.rng.randint(2, 90))}
