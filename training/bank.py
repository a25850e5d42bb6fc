"""Requests that no lesson is about: anchors, which hold a step back, and probes, which watch it.

And kindred ones: the common requests once more in other words, among which a lesson finds those
that are of its kind after all. All of them read like the program's own conversations. What the base
model answers to anchors and probes is made once per model; see ``anchors.py``.
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

_MILL = "README.md mill/gears.py mill/stones.py pyproject.toml tests/test_gears.py"
_PORT = "harbour.py package.json ships.ts src/crane.js tests/test_harbour.py"
_CHOIR = "Makefile choir/alto.py choir/bass.py setup.cfg tests/test_alto.py"
_HIVE = "bees.py honey.py requirements.txt swarm.py test_bees.py"
_KILN = "docs/glaze.md kiln.toml pots/__init__.py pots/clay.py pots/fire.py"
_DEPOT = "index.ts package.json src/crates.ts src/pallets.ts style.css"

_SWARM_TEST = _read(
    "test_bees.py",
    "from bees import swarm",
    "",
    "",
    "def test_swarm():",
    "    assert swarm(2) == 5",
)
_KILN_CODE = _read("pots/fire.py", "def heat(n):", "    return n - 1", "", "hot = heat(3)")

KINDRED: tuple[BankEntry, ...] = (
    BankEntry("k01", "mill", _MILL, "let me see mill/gears.py"),
    BankEntry("k02", "kiln", _KILN, "what does pots/clay.py look like?"),
    BankEntry("k03", "depot", _DEPOT, "print the file src/crates.ts"),
    BankEntry("k04", "choir", _CHOIR, "do the tests in tests/test_alto.py pass"),
    BankEntry("k05", "hive", _HIVE, "please test test_bees.py"),
    BankEntry("k06", "mill", _MILL, "run all the tests"),
    BankEntry("k07", "port", _PORT, "where do we use load_crane?"),
    BankEntry("k08", "hive", _HIVE, "look for queen_count in the code"),
    BankEntry("k09", "kiln", _KILN, "grep for max_heat in pots"),
    BankEntry("k10", "depot", _DEPOT, "give me all the ts files"),
    BankEntry("k11", "choir", _CHOIR, "what py files do we have in choir"),
    BankEntry("k12", "kiln", _KILN, "list every md file"),
    BankEntry("k13", "mill", _MILL, "make a commit: oil the gears"),
    BankEntry("k14", "port", _PORT, "commit this, message tidy the crane"),
    BankEntry("k15", "hive", _HIVE, "save my work with the commit message count bees"),
    BankEntry("k16", "hive", _HIVE, "execute swarm.py"),
    BankEntry("k17", "port", _PORT, "start the script harbour.py please"),
    BankEntry("k18", "mill", _MILL, "we need the package attrs"),
    BankEntry("k19", "hive", _HIVE, "get me the python library tqdm"),
    BankEntry("k20", "depot", _DEPOT, "we need the package zod"),
    BankEntry("k21", "port", _PORT, "get me the npm library chalk"),
    BankEntry("k22", "kiln", _KILN, "please test that cool in pots/fire.py returns 8"),
    BankEntry(
        "k23", "choir", _CHOIR, "add a unit test for hum from choir/bass.py, the result is 12"
    ),
    BankEntry("k24", "mill", _MILL, "tidy up the layout of mill/stones.py"),
    BankEntry("k25", "hive", _HIVE, "please reformat honey.py"),
    BankEntry("k26", "choir", _CHOIR, "lint choir/alto.py"),
    BankEntry("k27", "kiln", _KILN, "are there lint errors in pots/clay.py?"),
    BankEntry("k28", "mill", _MILL, "type check mill/gears.py"),
    BankEntry("k29", "choir", _CHOIR, "do the types in choir/bass.py add up?"),
    BankEntry("k30", "hive", _HIVE, "remove honey.py"),
    BankEntry("k31", "depot", _DEPOT, "get rid of src/pallets.ts"),
    BankEntry("k32", "kiln", _KILN, "move pots/clay.py to pots/mud.py"),
    BankEntry("k33", "choir", _CHOIR, "choir/alto.py should be called choir/tenor.py"),
    BankEntry("k34", "port", _PORT, "did anything change?"),
    BankEntry("k35", "mill", _MILL, "show the diff"),
    BankEntry("k36", "hive", _HIVE, "what happened in the repo lately?"),
    BankEntry("k37", "choir", _CHOIR, "open the module tempo"),
    BankEntry("k38", "mill", _MILL, "what is in the lever module?"),
    BankEntry("k39", "port", _PORT, "line 7 of harbour.py should be depth = 4"),
    BankEntry("k40", "kiln", _KILN, "set line 12 in pots/fire.py to return heat"),
    BankEntry("k41", "hive", _HIVE, "install everything that the project needs"),
    BankEntry("k42", "hive", _HIVE, "test_bees.py fails, repair the test", (_SWARM_TEST,)),
    BankEntry(
        "k43", "kiln", _KILN, "there is a bug in heat in pots/fire.py, fix it", (_KILN_CODE,)
    ),
    BankEntry("k44", "kiln", _KILN, "rename hot to warm in pots/fire.py", (_KILN_CODE,)),
)
