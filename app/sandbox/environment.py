"""The variables that a command gets: those on a list, and none that look like a key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .places import TOOLCHAIN_VARIABLES

NO_TERMINAL = {"TERM": "dumb", "PAGER": "cat", "GIT_PAGER": "cat", "GIT_TERMINAL_PROMPT": "0"}
"""What tells programs that nobody can answer them or turn a page."""

ALLOWED = frozenset(
    {
        "AR", "CC", "CFLAGS", "CGO_ENABLED", "CI", "CMAKE_GENERATOR", "CMAKE_PREFIX_PATH",
        "CONDA_DEFAULT_ENV", "CONDA_EXE", "CPATH", "CPPFLAGS", "CUDA_HOME", "CUDA_PATH",
        "CUDA_VISIBLE_DEVICES", "CXX", "CXXFLAGS", "DEBIAN_FRONTEND", "DJANGO_SETTINGS_MODULE",
        "EDITOR", "FLASK_APP", "GEM_PATH", "GO111MODULE", "GOARCH", "GOBIN", "GOCACHE", "GOFLAGS",
        "GOOS", "GOPRIVATE", "GOPROXY", "GOSUMDB", "GOTOOLCHAIN", "HOME", "HOSTNAME", "LANG",
        "LANGUAGE", "LD", "LDFLAGS", "LD_LIBRARY_PATH", "LIBRARY_PATH", "LOGNAME", "MAKEFLAGS",
        "MANPATH", "NODE_ENV", "NODE_OPTIONS", "NODE_PATH", "NVM_BIN", "OMP_NUM_THREADS", "PATH",
        "PERL5LIB", "PKG_CONFIG_PATH", "PWD", "RAILS_ENV", "REQUESTS_CA_BUNDLE", "RUBYLIB",
        "RUBYOPT", "RUSTFLAGS", "SHELL", "SOURCE_DATE_EPOCH", "SSL_CERT_DIR", "SSL_CERT_FILE",
        "TERMINFO", "TZ", "USER", "VISUAL", *TOOLCHAIN_VARIABLES,
    }
)  # fmt: skip
PREFIXES = (
    "CARGO_", "LC_", "MISE_", "NIX_", "PIPENV_", "POETRY_", "PYENV_", "PYTEST_", "PYTHON",
    "RBENV_", "RUST", "UV_", "VIRTUALENV",
)  # fmt: skip
FOR_THE_NETWORK = frozenset(
    name
    for plain in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    for name in (plain, plain.lower())
)
NAME_OF_KEY = re.compile(
    r"API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|_KEY$|^KEY$|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE"
    r"|_PWD$|_PAT$|CREDENTIAL|COOKIE",
    re.IGNORECASE,
)
_NAME_OF_LOGIN = re.compile(r"AUTH|PASS$", re.IGNORECASE)
_LOGIN_IN_ADDRESS = re.compile(r"://[^/\s]*@")


def allowed_environment(
    environ: Mapping[str, str], *, more: Iterable[str] = (), network: bool = False
) -> dict[str, str]:
    """Keep what builds and tests need; ``more`` are names that the user asked for, keys or not."""
    asked_for = frozenset(more)
    kept = {
        name: value
        for name, value in environ.items()
        if name in asked_for or (_is_allowed(name, network) and not _is_secret(name, value))
    }
    return kept | NO_TERMINAL


def _is_allowed(name: str, network: bool) -> bool:
    if name in ALLOWED or name.startswith(PREFIXES):
        return True
    return network and name in FOR_THE_NETWORK


def _is_secret(name: str, value: str) -> bool:
    named = NAME_OF_KEY.search(name) or _NAME_OF_LOGIN.search(name)
    return bool(named or _LOGIN_IN_ADDRESS.search(value))
