"""Keys and other secrets in a text, known by their shape; each is left out by its name.

A shape counts only where hardly anything else looks like it: better to miss one than to ask about
every second line of code. Where a secret stands in something longer (``password=…``, a URL) only
the secret itself is taken.
"""

from __future__ import annotations

import codecs
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from .surroundings import keys_in

MARK = re.compile(r"\[redacted: [A-Za-z' ]{1,40}\]")
MOST_HELD = 20_000
"""Characters of a line, or of a private key, after which it is told although it has not ended."""
SHORTEST_KNOWN = 8
"""Characters below which the value of a variable is too common to be looked for."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret in a text, from ``start`` to ``end``; ``value`` is the same wherever it stands."""

    kind: str
    start: int
    end: int
    value: str

    @property
    def mark(self) -> str:
        """What is written in its place."""
        return f"[redacted: {self.kind}]"


@dataclass(frozen=True, slots=True)
class _Shape:
    """A pattern whose group ``s``, or the whole of it, is a secret if ``fits`` says so.

    Only a text that holds one of the ``hints`` is searched.
    """

    kind: str
    hints: tuple[str, ...]
    pattern: str
    fits: Callable[[str, re.Match[str]], bool] | None = None


def find_secrets(text: str, known: Mapping[str, str] | None = None) -> list[Secret]:
    """Every secret in a text, in order; ``known`` are further values, each with its kind."""
    found = [*_by_shape(text), *_by_name(text), *(_by_value(text, known) if known else ())]
    found.sort(key=lambda secret: (secret.start, -secret.end))
    kept: list[Secret] = []
    for secret in found:
        if not kept or secret.start >= kept[-1].end:
            kept.append(secret)
    return kept


def redact(
    text: str,
    known: Mapping[str, str] | None = None,
    keep: Callable[[Secret], bool] | None = None,
) -> str:
    """The text without its secrets, but for those that are to be kept."""
    parts: list[str] = []
    at = 0
    for secret in find_secrets(text, known):
        if keep is None or not keep(secret):
            parts += (text[at : secret.start], secret.mark)
            at = secret.end
    return "".join([*parts, text[at:]]) if parts else text


class StreamRedactor:
    """Redacts bytes that come in pieces; a line, and a private key, is held back until it ends."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self._known = known
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._held = ""

    def feed(self, data: bytes) -> bytes:
        """What can be told by now."""
        self._held += self._decoder.decode(data)
        end = self._held.rfind("\n") + 1
        begun = self._held.rfind("-----BEGIN ", 0, end)
        if begun >= 0 and "PRIVATE KEY-----" in self._held[begun:end]:
            over = self._held.find("-----END ", begun, end)
            end = end if over >= 0 or len(self._held) - begun > MOST_HELD else begun
        if len(self._held) > MOST_HELD:
            end = len(self._held)
        ready, self._held = self._held[:end], self._held[end:]
        return redact(ready, self._known).encode()

    def finish(self) -> bytes:
        """The rest."""
        rest, self._held = self._held + self._decoder.decode(b"", final=True), ""
        return redact(rest, self._known).encode()


def known_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The values of variables that are named like keys, if nothing else can look like them."""
    return {
        value: "environment variable"
        for value in keys_in(environ).values()
        if len(value) >= SHORTEST_KNOWN and _is_mixed(value) and "/" not in value[:2]
    }


# --- the shapes -------------------------------------------------------------------------

# What stands for a secret in examples and tests.
_EXAMPLE = re.compile(
    r"(?:(?:my|the|some|an?|enter|insert|replace|change)[-_ ]|your|example|sample|dummy|fake|test"
    r"|todo|xxx|\*|\.\.\.|<|\$|%|\{|\[redacted|none|null|true|false|pass(?:word|wd|phrase)?\d{0,3}\Z"
    r"|secret|changeme|pwd\Z|token\Z|root\Z|admin\Z|user\Z|guest\Z|postgres\Z|env[.:(]|os\."
    r"|process\.)",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z_$][A-Za-z_.]*\d{0,2}|[A-Za-z]+\d{0,2}(?:[_.][A-Za-z]+\d{0,2})+")
_KINDS = (
    r"(?:api|access|auth|secret|private|account|signing|encryption|client|shared|master|service)"
)
_HOLDERS = (
    r"(?:auth|access|api|refresh|bearer|session|bot|deploy|private|personal|github|gitlab|slack"
    r"|npm|hf)"
)
# The last word of a name that holds a secret, and how the name has to go on before it.
_WORDS = {
    "password": "", "passwd": "", "passphrase": "", "pwd": "", "secret": "",
    "key": rf"(?i){_KINDS}[_-]?\Z", "token": rf"(?i){_HOLDERS}[_-]?\Z",
}  # fmt: skip
_PRIVATE = r"(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?"
_ASSIGNED = r"(?:\s*(?:=>|:=|=|:)\s*)"
_QUOTED = rf"(?P<env>)\\?[\"']?{_ASSIGNED}[bru]?(?P<q>\\?[\"'])(?P<s>[^\"'\n\\]{{4,200}})(?P=q)"
_PLAIN = (
    rf"(?P<env>)(?P<q>)(?:{_ASSIGNED}|\s+is\s+)"
    r"(?P<s>[^\\\s\"'`,;&<>(){}\[\]|]{6,200})(?![\w.]*[\[(])"
)


_DIGIT, _LETTER = re.compile(r"\d"), re.compile(r"[^\W\d_]")


def _is_mixed(value: str) -> bool:
    """Whether letters and digits are mixed as in no word."""
    return bool(_DIGIT.search(value) and _LETTER.search(value))


def _is_named(value: str) -> bool:
    """Whether this is a name, a title or an abbreviation rather than the thing itself."""
    last = value.lower().rstrip(":s")
    whole = last.endswith(("password", "passwd", "secret", "token", "key", "_"))
    return whole or "..." in value or "…" in value


def _is_random(value: str, match: re.Match[str]) -> bool:
    del match
    return _is_mixed(value) and not _EXAMPLE.match(value)


def _has_key_body(value: str, match: re.Match[str]) -> bool:
    """Whether something that only a key has stands below its first line."""
    del match
    return re.search(r"[A-Za-z0-9+/=]{16}", value[len("-----BEGIN PRIVATE KEY-----") :]) is not None


def _is_coded(value: str, match: re.Match[str]) -> bool:
    """Whether this is base64 rather than a word."""
    del match
    return value.endswith("=") or _is_mixed(value) or not (value.islower() or value.istitle())


def _is_literal(value: str, match: re.Match[str], word: str = "") -> bool:
    """Whether what is assigned is written out, and neither an example nor an expression."""
    if _EXAMPLE.match(value) or _is_named(value) or value.startswith(("/", "~", "./")):
        return False
    if match["env"]:
        spoken = match["env"].startswith(("PASS", "SECRET"))
        return len(value) >= SHORTEST_KNOWN and (spoken or _is_mixed(value))
    if not match["q"]:
        return _is_mixed(value) and not _NAME.fullmatch(value)
    if word.lower() in ("key", "token", "secret"):
        return _is_mixed(value) and len(value) >= SHORTEST_KNOWN
    return len(set(value)) > 2 and (word.lower() == "passphrase" or " " not in value)


def _is_login(value: str, match: re.Match[str]) -> bool:
    return value != match["user"] and not (_EXAMPLE.match(value) or _is_named(value))


_WORD = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"  # in JSON a line may end before it
_SHAPES = (
    _Shape(
        "private key",
        ("PRIVATE KEY",),
        rf"-----BEGIN {_PRIVATE}-----(?:(?!-----)[\s\S]){{16,20000}}-----END {_PRIVATE}-----",
        _has_key_body,
    ),
    _Shape(
        "private key",  # of which the end was cut off
        ("PRIVATE KEY",),
        rf"-----BEGIN {_PRIVATE}-----(?:(?:\\[nr]|\s|\d+\t|[+>|-] ?)+"
        r"(?:[A-Za-z0-9+/=]{16,}|[A-Z][A-Za-z-]+: [^\n\\]*))+(?:(?:\\n|\s)+[A-Za-z0-9+/=]+\Z)?",
    ),
    _Shape("private key", ("AGE-SECRET",), r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    _Shape(
        "AWS key",
        ("AKIA", "ASIA", "ABIA", "ACCA"),
        _WORD + r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    ),
    _Shape(
        "GitHub token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        _WORD + r"(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_\w{22,255})",
    ),
    _Shape(
        "GitLab token",
        ("glpat-", "glptt-", "gldt-", "glrt-", "glcbt-", "glsoat-", "glft-", "glagent-"),
        _WORD + r"gl(?:pat|ptt|dt|rt|cbt|soat|ft|agent)-[\w-]{20,}",
    ),
    _Shape("Anthropic key", ("sk-ant-",), _WORD + r"sk-ant-[\w-]{16,}"),
    _Shape("API key", ("sk-",), _WORD + r"sk-[A-Za-z0-9][\w-]{19,}", _is_random),
    _Shape("Tinker key", ("tml-",), _WORD + r"tml-[\w-]{16,}", _is_random),
    _Shape("Hugging Face token", ("hf_", "api_org_"), _WORD + r"(?:hf|api_org)_[A-Za-z0-9]{30,}"),
    _Shape(
        "Slack token", ("xox", "xapp-"), _WORD + r"(?:xox[abeoprs]|xapp)-[\w-]{10,}", _is_random
    ),
    _Shape(
        "Google key",
        ("AIza", "ya29.", "GOCSPX-"),
        _WORD + r"(?:AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,})",
    ),
    _Shape(
        "Stripe key",
        ("k_live_", "k_test_", "whsec_"),
        _WORD + r"(?:[rs]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,}",
    ),
    _Shape("npm token", ("npm_",), _WORD + r"npm_[A-Za-z0-9]{36}"),
    _Shape("PyPI token", ("pypi-",), _WORD + r"pypi-[\w-]{40,}"),
    _Shape("SendGrid key", ("SG.",), _WORD + r"SG\.[\w-]{16,32}\.[\w-]{32,64}"),
    _Shape(
        "access token",
        ("dop_v1_", "dckr_pat_", "shpat_", "lin_api_", "sq0atp-"),
        _WORD + r"(?:dop_v1_|dckr_pat_|shpat_|lin_api_|sq0atp-)[\w-]{20,}",
    ),
    _Shape("Telegram token", (":AA",), _WORD + r"\d{8,10}:AA[\w-]{32,34}(?![\w-])"),
    _Shape("web token", ("eyJ",), _WORD + r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"),
    _Shape(
        "bearer token",
        ("earer", "EARER"),
        r"(?i:bearer)\s+(?P<s>[A-Za-z0-9._~+/-]{16,}=*)",
        _is_random,
    ),
    _Shape("password", ("asic", "ASIC"), r"(?i:basic)\s+(?P<s>[\w+/-]{12,}=*)", _is_coded),
    _Shape(
        "password",
        ("://",),
        r"://(?P<user>[^\s/:@\"'<>{}$&\[\]]*):(?P<s>[^\\\s/@\"'<>{}$&\[\]]{4,200})@",
        _is_login,
    ),
    _Shape(
        "access token",
        ("http",),
        r"https?://(?P<s>[\w-]{20,})(?::x-oauth-basic)?@[\w.-]",
        _is_random,
    ),
    _Shape(
        "password",
        ("=",),
        r"(?P<env>PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|KEY|KEY_ID|CREDENTIALS?|AUTH)"
        r"(?:_[A-Z0-9]{1,8})?=(?P<q>[\"']?)(?P<s>[^\\\s\"',;(){}\[\]<>&|#`]{6,200})",
        _is_literal,
    ),
    _Shape(
        "password",
        ("--pass", "--token", "--api", "--secret", "--auth"),
        r"--(?:password|passwd|pass|passphrase|token|api-?key|secret|auth-token)(?P<env>)"
        r"[ =](?P<q>[\"']?)(?P<s>[^\\\s\"']{6,200})",
        lambda value, match: _is_literal(value, match) or _is_random(value, match),
    ),
    _Shape(
        "password",
        ("curl", "wget", "http"),
        r"(?:curl|wget|https?)\b[^\n|;]{0,200}?\s(?:-u|--user)[ =]?[\"']?(?P<user>[^\s:\"']+)"
        r":(?P<s>[^\\\s\"']{4,200})",
        _is_login,
    ),
)


@functools.cache
def _compiled() -> tuple[tuple[_Shape, re.Pattern[str]], ...]:
    return tuple((shape, re.compile(shape.pattern)) for shape in _SHAPES)


@functools.cache
def _compiled_words() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Each word in the three ways in which names are written, with what comes before it."""
    return tuple(
        (form, re.compile(before))
        for word, before in _WORDS.items()
        for form in (word, word.upper(), word.capitalize())
    )


@functools.cache
def _compiled_values() -> tuple[re.Pattern[str], ...]:
    return re.compile(_QUOTED), re.compile(_PLAIN)


def _by_shape(text: str) -> Iterator[Secret]:
    for shape, pattern in _compiled():
        if not any(hint in text for hint in shape.hints):
            continue
        for match in pattern.finditer(text):
            group = "s" if "s" in pattern.groupindex else 0
            value = match[group]
            if shape.fits is None or shape.fits(value, match):
                yield Secret(shape.kind, match.start(group), match.end(group), _plain(value))


def _by_name(text: str) -> Iterator[Secret]:
    """What is assigned to a name that holds a secret; the names are found without a pattern."""
    for word, before in _compiled_words():
        end = 0
        while (at := text.find(word, end)) >= 0:
            end = at + len(word)
            if before.pattern and not before.search(text[max(0, at - 12) : at]):
                continue
            for pattern in _compiled_values():
                match = pattern.match(text, end)
                if match and _is_literal(match["s"], match, word):
                    yield Secret("password", match.start("s"), match.end("s"), _plain(match["s"]))


def _by_value(text: str, known: Mapping[str, str]) -> Iterator[Secret]:
    for value, kind in known.items():
        start = text.find(value)
        while start >= 0:
            yield Secret(kind, start, start + len(value), value)
            start = text.find(value, start + len(value))


def _plain(value: str) -> str:
    """The same secret reads the same, whether in a text or in JSON that holds the text."""
    return re.sub(r"\\[nrt\"]|\s", "", value)
