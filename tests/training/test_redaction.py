"""Secrets known by their shape: which are found, which are not, and that text is left alone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from continualcode_tui.training import redaction
from continualcode_tui.training.redaction import MARK, find_secrets, known_secrets, redact
from hypothesis import given
from hypothesis import strategies as st

HEX = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"
MIXED = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hL3oR6"
BODY = "\n".join([MIXED + MIXED[:28]] * 3)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"

# Each text with the part of it that must not stay.
SECRETS = {
    "aws id": ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "aws session": ("id: ASIAIOSFODNN7EXAMPLE,", "ASIAIOSFODNN7EXAMPLE"),
    "aws secret": (f"aws_secret_access_key = {MIXED}abc/", f"{MIXED}abc/"),
    "github classic": (f"git clone https://ghp_{MIXED}@github.com/a/b", f"ghp_{MIXED}"),
    "github fine": (f"token github_pat_{MIXED}_x", f"github_pat_{MIXED}_x"),
    "gitlab": (f"glpat-{MIXED[:20]}", f"glpat-{MIXED[:20]}"),
    "openai": (f"sk-proj-{MIXED}", f"sk-proj-{MIXED}"),
    "openai old": (f"key sk-{MIXED} here", f"sk-{MIXED}"),
    "anthropic": (f"sk-ant-api03-{MIXED}-{MIXED}AA", f"sk-ant-api03-{MIXED}-{MIXED}AA"),
    "tinker": (f"TINKER_API_KEY=tml-{MIXED}", f"tml-{MIXED}"),
    "hugging face": (f"hf_{MIXED}", f"hf_{MIXED}"),
    "slack": ("xoxb-123456789012-abcdefABCDEF", "xoxb-123456789012-abcdefABCDEF"),
    "google": (f"AIza{MIXED[:35]}", f"AIza{MIXED[:35]}"),
    "stripe": (f"sk_live_{MIXED[:24]}", f"sk_live_{MIXED[:24]}"),
    "npm": (f"//registry/:_authToken=npm_{MIXED}", f"npm_{MIXED}"),
    "pypi": (f"pypi-AgEIcHlwaS5vcmc{MIXED}", f"pypi-AgEIcHlwaS5vcmc{MIXED}"),
    "jwt": (f"cookie: session={JWT}; path=/", JWT),
    "bearer": (f"Authorization: Bearer {HEX}", HEX),
    "basic": ("authorization: basic dXNlcjpwYXNzdzByZDEyMw==", "dXNlcjpwYXNzdzByZDEyMw=="),
    "url": ("postgres://shop:s3cr3t-w0rd@db/shop", "s3cr3t-w0rd"),
    "url without user": ("redis://:abcdef@cache:6379", "abcdef"),
    "password=": ("password=canary-8d1f", "canary-8d1f"),
    "password in words": ("my password is blue-Horse-7x", "blue-Horse-7x"),
    "password quoted": ("db.connect(password='swordfish')", "swordfish"),
    "password json": ('{"password": "swordfish!"}', "swordfish!"),
    "password yaml": ("  db_password: Sw0rdf1sh\n", "Sw0rdf1sh"),
    "passphrase": ('passphrase = "correct horse battery"', "correct horse battery"),
    "pwd in a connection string": ("Server=a;Pwd=Sw0rdf1sh;Db=b", "Sw0rdf1sh"),
    "dotenv": ("DB_PASSWORD=swordfishes\n", "swordfishes"),
    "dotenv exported": (f"export MY_API_KEY='{HEX}'", HEX),
    "django": (f"SECRET_KEY = 'django-insecure-{MIXED}'", f"django-insecure-{MIXED}"),
    "option": ("mysql --password=Sw0rdf1sh -h db", "Sw0rdf1sh"),
    "option with a space": ("vault login --token hvs-8d1fA2", "hvs-8d1fA2"),
    "curl": ("curl -s -u admin:swordfish https://a", "swordfish"),
    "api key in a query": (f"GET /v1?api_key={HEX}", HEX),
    "client secret": (f"client_secret: {HEX}", HEX),
    "private key": (
        f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----", MIXED,
    ),
    "private key cut off": (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{BODY}", MIXED),
    "pgp": (f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{BODY}", MIXED),
}  # fmt: skip

# What looks a little like a secret, and stands in every second repository.
HARMLESS = (
    "password = getpass.getpass()",
    "password: str | None = None",
    "def login(user, password): return check(user, password)",
    "api_key=os.environ['OPENAI_API_KEY']",
    "api_key = settings.api_key",
    'api_key="YOUR_API_KEY"',
    "export OPENAI_API_KEY=sk-...",
    "OPENAI_API_KEY=${OPENAI_API_KEY}",
    "password=<your password>",
    "token = tokenizer.eos_token_id",
    "max_tokens=1024, pad_token='<|endoftext|>'",
    "secret = random.choice(SECRETS)",
    "secret_key = s3_server['connection']",
    'label = "Enter your password:"',
    'password: "must be at least 8 characters long"',
    "PWD=/home/me/project",
    "the password is wrong",
    "the token is required for this",
    "https://example.com:8080/path?x=1",
    "https://user@example.com/path",
    "postgres://postgres:postgres@localhost/test",
    "git@github.com:owner/repository.git",
    "sk-ip-this-css-class-name-please",
    'class="sk-circle sk-fading-circle"',
    "Bearer authentication is required",
    "commit 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
    f"sha256:{HEX}{HEX}",
    "550e8400-e29b-41d4-a716-446655440000",
    "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK\n-----END PUBLIC KEY-----",
    'if line.startswith("-----BEGIN RSA PRIVATE KEY-----"):',
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqVm7cE0 me@host",
    "key = lambda pair: pair[1]",
    "primary_key=True, foreign_key='orders.id'",
    "keymap = {'proposal.always': 'ctrl+a'}",
)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_found_and_only_it_is_left_out(name: str):
    text, secret = SECRETS[name]
    before, after = "before = 1\n", "\nafter = 2\n"
    found = redact(before + text + after)
    assert secret not in found
    assert found.startswith(before)
    assert found.endswith(after.lstrip("\n")) or name.endswith("cut off") or name == "pgp"
    assert MARK.search(found)
    assert redact(found) == found


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_the_same_in_a_text_and_in_json_that_holds_it(name: str):
    text, secret = SECRETS[name]
    quoted = json.dumps({"content": f"x\n{text}\ny"})
    assert secret.replace("\n", "\\n") not in redact(quoted)
    (plain, *_), (within, *_) = find_secrets(f"x\n{text}\ny"), find_secrets(quoted)
    assert plain.value[:100] == within.value[:100]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_a_little_like_one_stays(text: str):
    assert redact(f"a\n{text}\nb") == f"a\n{text}\nb"


def test_a_whole_program_is_left_as_it_is():
    """This repository's own code and documents: no question is asked about any line of it."""
    root = Path(__file__).parents[2]
    folders = ("app", "widgets", "themes", "training", "docs", "benchmarks")
    files = [f for name in folders for s in ("py", "md") for f in (root / name).rglob(f"*.{s}")]
    found = {
        str(file.relative_to(root)): [secret.kind for secret in find_secrets(text)]
        for file in files
        if redact(text := file.read_text(encoding="utf-8")) != text
    }
    assert len(files) > 150
    assert found == {}


@given(text=st.text(max_size=200))
def test_any_text_goes_through_and_comes_out_the_same_the_second_time(text: str):
    once = redact(text)
    assert redact(once) == once


@given(
    parts=st.lists(
        st.sampled_from([*(text for text, _ in SECRETS.values()), "\n", " ", '"', "x = 1"]),
        max_size=4,
    )
)
def test_secrets_side_by_side_are_all_left_out(parts: list[str]):
    text = "\n".join(parts)
    for secret in find_secrets(text):
        assert text[secret.start : secret.end]
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "a" * 300_000,
        "://" * 100_000,
        "password=" * 30_000,
        "-----BEGIN PRIVATE KEY-----\n" * 10_000,
        "Bearer " + " " * 300_000,
        "eyJ" * 100_000,
        "curl " * 60_000 + "-u ",
        "token is " * 30_000,
        "key:'" * 60_000,
    ],
    ids=lambda text: text[:12],
)
def test_no_text_takes_long(text: str):
    """300,000 characters of the worst kind; a call's whole output has 30,000."""
    began = time.perf_counter()
    redact(text)
    assert time.perf_counter() - began < 3.0


def test_keys_of_the_environment_are_known_by_value_when_nothing_else_can_look_like_them():
    environ = {
        "MY_TOKEN": "plain-9-words", "PATH": "/usr/bin9", "X_PASSWORD": "short1",
        "USE_TOKEN": "sometimes", "TOKENIZERS_PARALLELISM": "false", "A_KEY": "/etc/key1.pem",
    }  # fmt: skip
    known = known_secrets(environ)
    assert list(known) == ["plain-9-words"]
    assert redact("it said plain-9-words twice", known) == (
        "it said [redacted: environment variable] twice"
    )


def test_what_is_to_be_kept_stays_and_the_rest_does_not():
    text = f"password=canary-8d1f and hf_{MIXED}"
    kept = redact(text, keep=lambda secret: secret.kind == "password")
    assert kept == "password=canary-8d1f and [redacted: Hugging Face token]"


def test_every_shape_is_tried_here():
    found = {secret.kind for text, _ in SECRETS.values() for secret in find_secrets(text)}
    named = {shape.kind for shape in redaction._SHAPES}
    assert named - found <= {"SendGrid key", "access token", "Telegram token"}
