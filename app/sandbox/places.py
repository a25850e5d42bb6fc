"""Which places commands may see, and which they may not."""

from __future__ import annotations

HIDDEN = ("/home", "/root", "/tmp", "/var/tmp", "/run")  # noqa: S108 - they are hidden, not used
"""Folders that look empty and forget what is written to them; the user's home is one more."""

TOOLCHAINS = (
    ".asdf", ".bun", ".cabal", ".cargo", ".conda", ".deno", ".dotnet", ".fnm", ".gem", ".ghcup",
    ".gradle", ".ivy2", ".juliaup", ".julia", ".linuxbrew", ".local/bin", ".local/lib",
    ".local/pipx", ".local/share/fnm", ".local/share/gem", ".local/share/mise",
    ".local/share/nvm", ".local/share/pipx", ".local/share/pnpm", ".local/share/uv",
    ".local/share/virtualenv", ".local/share/virtualenvs", ".local/state/nix", ".m2",
    ".nix-defexpr", ".nix-profile", ".npm", ".nuget", ".nvm", ".opam", ".pnpm-store", ".pub-cache",
    ".pyenv", ".rbenv", ".rustup", ".sbt", ".sdkman", ".stack", ".virtualenvs", ".volta", ".yarn",
    ".cache/huggingface", ".cache/ms-playwright", ".cache/node", ".cache/pip", ".cache/pnpm",
    ".cache/pre-commit", ".cache/pypoetry", ".cache/torch", ".cache/uv", ".cache/yarn",
    "anaconda3", "flutter", "go", "mambaforge", "micromamba", "miniconda3", "miniforge3",
)  # fmt: skip
"""What compilers, interpreters and package managers keep below the home, brought back to read."""

TOOLCHAIN_VARIABLES = (
    "ASDF_DATA_DIR", "BUN_INSTALL", "CARGO_HOME", "CONDA_PREFIX", "GEM_HOME", "GOMODCACHE",
    "GOPATH", "GOROOT", "JAVA_HOME", "MAMBA_ROOT_PREFIX", "NVM_DIR", "PNPM_HOME", "PYENV_ROOT",
    "RBENV_ROOT", "RUSTUP_HOME", "UV_PYTHON_INSTALL_DIR", "VIRTUAL_ENV", "VOLTA_HOME",
)  # fmt: skip
"""Variables that name a folder of that kind."""

SECRETS_IN_TOOLCHAINS = frozenset(
    {
        ".credentials", "NuGet.Config", "auth.json", "credentials", "credentials.json",
        "credentials.toml", "gradle.properties", "settings-security.xml", "settings.xml",
        "stored_tokens", "token", "tokens.json",
    }
)  # fmt: skip
"""Files of these names, at most two folders deep in a toolchain, are hidden again."""

SECRETS = (
    ".aws", ".azure", ".bash_history", ".claude", ".claude.json", ".codex", ".config", ".docker",
    ".gemini", ".git-credentials", ".gnupg", ".huggingface", ".kube", ".lesshst", ".local/share",
    ".local/state", ".mozilla", ".mysql_history", ".netrc", ".node_repl_history", ".npmrc",
    ".password-store", ".pgpass", ".psql_history", ".pypirc", ".python_history", ".ssh",
    ".terraform.d", ".thunderbird", ".tinker", ".viminfo", ".zsh_history",
)  # fmt: skip
"""What is hidden in a home that is itself the repository."""

SYSTEM_SECRETS = (
    "/etc/NetworkManager/system-connections", "/etc/gshadow", "/etc/gshadow-", "/etc/krb5.keytab",
    "/etc/kubernetes", "/etc/letsencrypt", "/etc/pki/tls/private", "/etc/rancher", "/etc/shadow",
    "/etc/shadow-", "/etc/ssh", "/etc/ssl/private", "/etc/sudoers", "/etc/sudoers.d",
    "/etc/wireguard", "/var/log", "/var/mail", "/var/spool/cron", "/var/spool/mail",
)  # fmt: skip
"""What root could read even without any capability."""

GUARDED = (".devcontainer", ".envrc", ".idea", ".mcp.json", ".vscode")
"""What editors and shells act on by themselves: read-only, and not to be created."""

GUARDED_IF_THERE = (
    ".claude", ".codex", ".cursor", ".exrc", ".fleet", ".gemini", ".gitmodules", ".nvim.lua",
    ".nvimrc", ".vimrc", ".zed",
)  # fmt: skip
"""The same, but seldom; they may be created."""

GUARDED_AT_HOME = (
    ".bash_login", ".bash_logout", ".bash_profile", ".bashrc", ".gitconfig", ".inputrc",
    ".profile", ".tmux.conf", ".xprofile", ".xsessionrc", ".zlogin", ".zprofile", ".zshenv",
    ".zshrc", "bin", ".local/bin",
)  # fmt: skip
"""What a login runs, in a home that is itself the repository."""
