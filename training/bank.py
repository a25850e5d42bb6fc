"""Requests that no lesson is about: anchors, which hold a step back, and probes, which watch it.

They read like the program's own conversations and ask for what coding agents are asked for.
What the base model answers to them is made once per model; see ``anchors.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from .protocol import ChatMessage, ToolCall

INTRODUCTION = (
    "You are a coding agent in the git repository {name}. Propose one tool call at a time; "
    "answer in words when the work is done."
)


@dataclass(frozen=True)
class Turn:
    """A call and what it printed, earlier in the conversation."""

    name: str
    arguments: dict[str, str | int]
    output: str


@dataclass(frozen=True)
class BankEntry:
    """One request with a small repository around it."""

    id: str
    repository: str
    files: str
    request: str
    turns: tuple[Turn, ...] = ()

    def messages(self) -> tuple[ChatMessage, ...]:
        """The conversation up to the answer, in the program's own form."""
        listing = "\n".join(sorted(self.files.split()))
        introduction = INTRODUCTION.format(name=self.repository)
        found = [
            ChatMessage(role="system", content=f"{introduction}\n\nFiles:\n{listing}"),
            ChatMessage(role="user", content=self.request),
        ]
        for turn in self.turns:
            call = ToolCall(name=turn.name, arguments=dict(turn.arguments))
            found.append(ChatMessage(role="assistant", tool_calls=(call,)))
            found.append(ChatMessage(role="tool", content=turn.output))
        return tuple(found)


def _read(path: str, *lines: str) -> Turn:
    numbered = "\n".join(f"{number}\t{line}" for number, line in enumerate(lines, 1))
    return Turn("read", {"path": path}, numbered)


def _bash(command: str, output: str, code: int = 0) -> Turn:
    return Turn("bash", {"command": command}, f"{output}\n[exit {code}]".lstrip("\n"))


_GARDEN = "README.md beds.py seeds.py tests/test_beds.py"
_LEDGER = "ledger/__init__.py ledger/book.py ledger/entry.py pyproject.toml tests/test_book.py"
_SHOP = "cart.py orders.py prices.py requirements.txt tests/test_cart.py"
_SITE = "index.html package.json src/app.js src/menu.js style.css"
_FLEET = "Makefile api/routes.py api/models.py config.yaml tests/test_routes.py"
_NOTES = "notes.py storage.py main.py README.md"

ANCHORS: tuple[BankEntry, ...] = (
    BankEntry("a01", "garden", _GARDEN, "show me beds.py"),
    BankEntry("a02", "ledger", _LEDGER, "run the tests in tests/test_book.py"),
    BankEntry("a03", "shop", _SHOP, "find where total_price is used"),
    BankEntry("a04", "site", _SITE, "which js files are there?"),
    BankEntry("a05", "fleet", _FLEET, "commit with message add the health route"),
    BankEntry("a06", "notes", _NOTES, "run main.py"),
    BankEntry("a07", "shop", _SHOP, "install the python package httpx"),
    BankEntry("a08", "site", _SITE, "add the npm package dayjs"),
    BankEntry("a09", "garden", _GARDEN, "write a test for water in beds.py, it returns 3"),
    BankEntry("a10", "fleet", _FLEET, "format api/routes.py"),
    BankEntry("a11", "ledger", _LEDGER, "add a function balance to ledger/book.py that returns 0"),
    BankEntry("a12", "notes", _NOTES, "what changed since the last commit?"),
    BankEntry("a13", "shop", _SHOP, "create a file changes.txt that says done"),
    BankEntry("a14", "fleet", _FLEET, "list the files in api"),
    BankEntry("a15", "garden", _GARDEN, "hello, who are you?"),
    BankEntry("a16", "ledger", _LEDGER, "search for class Entry"),
    BankEntry(
        "a17",
        "notes",
        _NOTES,
        "show me storage.py",
        (_read("storage.py", "PATH = 'notes.db'", "", "def load():", "    return []"),),
    ),
    BankEntry(
        "a18",
        "shop",
        _SHOP,
        "change the rate in prices.py to 5",
        (_read("prices.py", "rate = 4", "", "def price(x):", "    return x * rate"),),
    ),
    BankEntry(
        "a19",
        "ledger",
        _LEDGER,
        "do the tests in tests/test_book.py pass?",
        (_bash("pytest tests/test_book.py", "1 passed in 0.02s"),),
    ),
    BankEntry(
        "a20",
        "fleet",
        _FLEET,
        "fix the failing test",
        (
            _bash("pytest", "FAILED tests/test_routes.py::test_ping - assert 2 == 3", 1),
            _read(
                "tests/test_routes.py",
                "from api.routes import ping",
                "",
                "def test_ping():",
                "    assert ping() == 3",
            ),
        ),
    ),
    BankEntry("a21", "site", _SITE, "open src/menu.js"),
    BankEntry("a22", "garden", _GARDEN, "delete the file seeds.py"),
    BankEntry("a23", "notes", _NOTES, "show the last commits"),
    BankEntry("a24", "fleet", _FLEET, "where is the port set?"),
)

_ATLAS = "atlas/maps.py atlas/tiles.py docs/usage.md tests/test_tiles.py"
_RADIO = "README.md player.py stations.py tests/test_player.py"
_BANK = "accounts.py pyproject.toml tests/test_accounts.py transfers.py"
_BLOG = "package.json public/index.html src/feed.js src/posts.js"
_CLOCK = "clock.py Makefile timer.py zones.py"
_WEATHER = "app/forecast.py app/station.py config.toml tests/test_forecast.py"

PROBES: tuple[BankEntry, ...] = (
    BankEntry("p01", "radio", _RADIO, "show me player.py"),
    BankEntry("p02", "bank", _BANK, "run the tests in tests/test_accounts.py"),
    BankEntry("p03", "atlas", _ATLAS, "find where load_tile is used"),
    BankEntry("p04", "weather", _WEATHER, "which py files are there?"),
    BankEntry("p05", "clock", _CLOCK, "commit with message fix the summer time"),
    BankEntry("p06", "radio", _RADIO, "run stations.py"),
    BankEntry("p07", "weather", _WEATHER, "install the python package rich"),
    BankEntry("p08", "blog", _BLOG, "add the npm package marked"),
    BankEntry("p09", "clock", _CLOCK, "write a test for tick in clock.py, it returns 1"),
    BankEntry("p10", "bank", _BANK, "format transfers.py"),
    BankEntry("p11", "atlas", _ATLAS, "add a function zoom to atlas/maps.py that returns 2"),
    BankEntry("p12", "blog", _BLOG, "what did I change?"),
    BankEntry("p13", "radio", _RADIO, "create a file plan.txt that says later"),
    BankEntry("p14", "atlas", _ATLAS, "list the files in docs"),
    BankEntry("p15", "clock", _CLOCK, "thanks, what can you do?"),
    BankEntry("p16", "weather", _WEATHER, "search for class Station"),
    BankEntry(
        "p17",
        "radio",
        _RADIO,
        "open stations.py",
        (_read("stations.py", "STATIONS = ['one', 'two']", "", "def count():", "    return 2"),),
    ),
    BankEntry(
        "p18",
        "bank",
        _BANK,
        "set the limit in accounts.py to 90",
        (_read("accounts.py", "balance = 0", "limit = 50", "", "def free():", "    return limit"),),
    ),
    BankEntry(
        "p19",
        "weather",
        _WEATHER,
        "run the tests",
        (_bash("pytest", "2 passed in 0.05s"),),
    ),
    BankEntry(
        "p20",
        "atlas",
        _ATLAS,
        "the test in tests/test_tiles.py fails, repair it",
        (
            _read(
                "tests/test_tiles.py",
                "from atlas.tiles import size",
                "",
                "def test_size():",
                "    assert size(2) == 5",
            ),
            _read("atlas/tiles.py", "def size(n):", "    return n * 2"),
        ),
    ),
    BankEntry("p21", "blog", _BLOG, "open src/feed.js"),
    BankEntry("p22", "clock", _CLOCK, "rename timer.py to alarm.py"),
    BankEntry("p23", "weather", _WEATHER, "is the working tree clean?"),
    BankEntry("p24", "radio", _RADIO, "where is the volume set?"),
)
