"""Files that, by their names, hold keys or passwords."""

from __future__ import annotations

import re

_FOLDERS = frozenset({".aws", ".azure", ".gcloud", ".git", ".gnupg", ".kube", ".ssh"})
_HARMLESS = re.compile(r".*\.(?:example|sample|template|dist|pub)")
_NAMES = re.compile(
    r"""
    \.env(?:\..*|rc)? | .*\.env
    | .*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|asc|gpg|secrets?|tfstate|tfvars|ovpn)(?:\..*)?
    | id_(?:rsa|dsa|ecdsa|ed25519|xmss)(?:[._-].*)?
    | [._]netrc | \.npmrc | \.pypirc | \.pgpass | \.my\.cnf | \.htpasswd | \.git-credentials
    | \.vault-token | \.dockercfg | kubeconfig | master\.key
    | (?:.*[._-])?(?:credentials?|secrets?|passwords?|passwd|tokens?|service[-_]?account.*)
      (?:\.(?:json|ya?ml|toml|ini|cfg|conf|txt|env|properties|xml|csv|db|sqlite3?))?
    """,
    re.VERBOSE,
)


def looks_secret(path: str) -> bool:
    """Say whether a path below the root names something that is usually kept secret."""
    parts = path.casefold().split("/")
    if any(part in _FOLDERS for part in parts):
        return True
    name = parts[-1]
    return _NAMES.fullmatch(name) is not None and _HARMLESS.fullmatch(name) is None
