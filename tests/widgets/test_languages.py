"""Which language a file is in."""

from __future__ import annotations

import subprocess
import sys

import pytest
from continualcode_tui.widgets.languages import language_of_path


@pytest.mark.parametrize(
    ("path", "code", "language"),
    [
        ("a.py", "", "python"),
        ("src/main.rs", "", "rust"),
        ("themes/app.tcss", "", "scss"),
        ("Makefile", "", "make"),
        ("Dockerfile", "", "docker"),
        ("run", "#!/usr/bin/env python3\nprint(1)\n", "python"),
        ("run", "#!/usr/bin/env -S FOO=1 bash\n", "bash"),
        ("run", "#!/bin/sh\n", "bash"),
        ("run", "#!/usr/bin/nonesuch4\n", "text"),
        ("run", "#!\n", "text"),
        ("notes.unheard-of", "import os\n", "text"),
        ("", "", "text"),
    ],
)
def test_the_name_says_the_language_or_else_the_first_line(
    path: str, code: str, language: str
) -> None:
    assert language_of_path(path, code) == language


def test_what_shares_a_suffix_is_told_apart_by_what_is_in_it() -> None:
    assert language_of_path("a.pl", "#!/usr/bin/perl\nmy $sum = 1;\n") == "perl"
    assert language_of_path("a.pl", "likes(mary, X) :- food(X).\n") == "prolog"


def test_few_lexers_are_imported_for_it() -> None:
    code = (
        "import sys; from continualcode_tui.widgets.languages import language_of_path\n"
        "assert language_of_path('a.py', 'x = 1') == 'python'\n"
        "print(sum(name.startswith('pygments.lexers.') for name in sys.modules))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 10
