"""Names for the curriculum: words, identifiers, folders and paths, with a held-out part."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random

HELD_OUT_WORDS = 400
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def listed(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


ONSETS = listed("b c d f g h j k l m n p r s t v w z br cr dr fl gr kl pl pr st tr sh ch th")
NUCLEI = listed("a e i o u ai ea oo ou")
CODAS = listed("n r t l x k m sk nt rd ng")
COMMON_WORDS = listed(
    "calc main app config utils helpers server client models views core math user users auth "
    "parser cli api db data store order orders cart game player shapes text tools index routes "
    "account bank counter greet hello strings numbers lists queue stack tree graph temp"
)
FOLDERS = listed("src lib app core pkg utils scripts api backend server tools")
SOURCE_ENDINGS = listed("py py py js ts md toml yaml txt json")
CODE_FILES = listed("py py py py js ts go rs")
ROOT_FILES = listed(
    "README.md pyproject.toml setup.py requirements.txt LICENSE Makefile setup.cfg tox.ini "
    ".gitignore .pre-commit-config.yaml package.json Dockerfile CHANGELOG.md main.py conftest.py"
)


@cache
def words() -> tuple[str, ...]:
    """All words of the list, the held-out ones first."""
    return tuple((Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split())


def held_out_words() -> tuple[str, ...]:
    """The words that the training stream never uses."""
    return words()[:HELD_OUT_WORDS]


def syllables(rng: Random) -> str:
    """Make up a word that can be pronounced."""
    count = rng.choice((1, 2, 2, 3))
    word = "".join(rng.choice(ONSETS) + rng.choice(NUCLEI) for _ in range(count))
    return word + rng.choice(CODAS) if rng.random() < 0.5 else word


class Names:
    """A source of names that draws from one side of the held-out split.

    ``held_out`` is about words and values, ``new_wordings`` about the phrases they stand in.
    """

    def __init__(self, rng: Random, *, held_out: bool = False, new_wordings: bool = False) -> None:
        self.rng = rng
        self.held_out = held_out
        self.new_wordings = new_wordings
        self.known = held_out_words() if held_out else words()[HELD_OUT_WORDS:]

    def chance(self, probability: float) -> bool:
        """Say yes with this probability."""
        return self.rng.random() < probability

    def known_word(self) -> str:
        """A word from the list."""
        return self.rng.choice(self.known)

    def junk(self) -> str:
        """A word that is in no list: the only way to write it is to copy it."""
        while True:
            roll = self.rng.random()
            if roll < 0.7:
                word = syllables(self.rng)
            elif roll < 0.85:
                word = "".join(self.rng.choices(LETTERS, k=self.rng.randint(2, 6)))
            else:
                word = (self.rng.choice(self.known) + self.rng.choice(self.known))[
                    : self.rng.randint(5, 12)
                ]
            if self.held_out or word not in _held_out_set():
                return word

    def word(self) -> str:
        """A word as people put into names."""
        roll = self.rng.random()
        if roll < 0.22:
            return self.junk()
        if roll < 0.34 and not self.held_out:
            return self.rng.choice(_common())
        return self.known_word()

    def identifier(self, parts: int = 0) -> str:
        """A snake_case name of some words, now and then with a digit."""
        count = parts or self.rng.choice((1, 2, 2, 2, 3))
        name = "_".join(self.word() for _ in range(count))
        return f"{name}{self.rng.randint(0, 99)}" if self.chance(0.06) else name

    def camel(self, parts: int = 2) -> str:
        """A CamelCase name."""
        return "".join(self.word().capitalize() for _ in range(parts))

    def kebab(self) -> str:
        """A package name such as ``fast-lexer``."""
        return "-".join(self.word() for _ in range(self.rng.choice((1, 1, 2, 2, 3))))

    def stem(self) -> str:
        """A file's name without its ending."""
        roll = self.rng.random()
        if roll < 0.06:
            return self.camel()
        if roll < 0.12:
            return self.kebab()
        return self.identifier(self.rng.choice((1, 1, 2, 2, 3)))

    def folder(self) -> str:
        """A folder, often one that every repository has."""
        if self.chance(0.45):
            return self.rng.choice(FOLDERS)
        folder = self.word()
        return f"{self.rng.choice(FOLDERS)}/{folder}" if self.chance(0.35) else folder

    def path(self, ending: str = "") -> str:
        """A file, at the top or in a folder."""
        name = f"{self.stem()}.{ending or self.rng.choice(SOURCE_ENDINGS)}"
        return name if self.chance(0.35) else f"{self.folder()}/{name}"

    def sentence(self, low: int = 2, high: int = 5) -> str:
        """Some words in a row, for messages and for noise."""
        return " ".join(self.word() for _ in range(self.rng.randint(low, high)))

    def some_files(self, count: int) -> list[str]:
        """Paths for a listing."""
        files = [
            self.rng.choice(ROOT_FILES)
            if self.chance(0.25)
            else self.path(self.rng.choice(CODE_FILES))
            for _ in range(count)
        ]
        if count > 3 and self.chance(0.5):
            files.append(f"tests/test_{self.identifier(1)}.py")
        return files


@cache
def _common() -> tuple[str, ...]:
    return tuple(word for word in COMMON_WORDS if word not in _held_out_set())


@cache
def _held_out_set() -> frozenset[str]:
    return frozenset(held_out_words())
