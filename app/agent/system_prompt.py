"""The system message: where the agent is, which files there are, what AGENTS.md says."""

from __future__ import annotations

from collections.abc import Sequence

from ..workspace.repository import Repository, list_files
from ..workspace.visible import visible, visible_path
from ..workspace.workspace import Workspace, WorkspaceError

AGENTS_FILE = "AGENTS.md"
LIMIT_CHARACTERS = 8_000
SHORTEST_PROMPT = 600
MAX_NAME = 100


def read_agents_md(workspace: Workspace) -> str:
    """Return the text of AGENTS.md, empty where there is none that can be read."""
    try:
        return workspace.read_text(AGENTS_FILE).text.content
    except WorkspaceError:
        return ""


def read_prompt(repository: Repository, room: int) -> str:
    """Compose the system message from the files as they are; a small context gets a short one."""
    listing = list_files(repository.root)
    agents_md = read_agents_md(Workspace(repository.root))
    limit = min(LIMIT_CHARACTERS, max(SHORTEST_PROMPT, room))
    return system_prompt(repository, listing.paths, agents_md, limit)


def system_prompt(
    repository: Repository,
    listing: Sequence[str],
    agents_md: str = "",
    limit_characters: int = LIMIT_CHARACTERS,
) -> str:
    """Compose the system message in at most ``limit_characters``.

    AGENTS.md takes up to half of the room, more where the listing needs less.
    """
    place = "git repository" if repository.git else "folder"
    introduction = (
        f"You are a coding agent in the {place} {visible_path(repository.name)[:MAX_NAME]}. "
        "Propose one tool call at a time; answer in words when the work is done."
    )
    paths = [visible_path(path) for path in sorted(listing)]
    rules = visible(agents_md).strip()
    room = limit_characters - len(introduction)
    files_need = len("\n\nFiles:") + sum(len(path) + 1 for path in paths) if paths else 0
    rules_room = max(room // 2, room - files_need)
    rules_part = _rules_part(rules, rules_room)
    return introduction + _files_part(paths, room - len(rules_part)) + rules_part


def _files_part(paths: Sequence[str], room: int) -> str:
    """List as many paths as fit, and say how many did not."""
    if not paths:
        return ""
    head = "\n\nFiles:"
    whole = head + "".join(f"\n{path}" for path in paths)
    if len(whole) <= room:
        return whole
    room -= len(head) + len(f"\n... and {len(paths)} more")
    shown: list[str] = []
    for path in paths:
        room -= len(path) + 1
        if room < 0:
            break
        shown.append(path)
    if not shown:
        return ""
    return "\n".join([head, *shown, f"... and {len(paths) - len(shown)} more"])


def _rules_part(rules: str, room: int) -> str:
    """Quote AGENTS.md, cut at the end of a line where it does not fit."""
    if not rules:
        return ""
    head = f"\n\n{AGENTS_FILE}:\n"
    if len(head) + len(rules) <= room:
        return head + rules
    room -= len(head) + len(f"\n[... {len(rules)} characters left out ...]")
    if room <= 0:
        return ""
    cut = rules.rfind("\n", 0, room + 1)
    kept = rules[: cut if cut > room // 2 else room].rstrip()
    return f"{head}{kept}\n[... {len(rules) - len(kept)} characters left out ...]"
