"""The adapter brought from a service to a folder here, as PEFT and others read it."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...engine import EngineFailure, Reply
from .words import is_gone

if TYPE_CHECKING:
    from .adapter import HostedAdapter
    from .connection import Connection

SHORTEST_LIFE = 3600  # seconds that the service keeps what is only there to be fetched
FILE_SECONDS = 60.0
FETCH_SECONDS = 3600.0
PAUSES = (0.5, 1.0, 2.0)  # seconds before a file is asked for again


def export(connection: Connection, adapter: HostedAdapter, folder: Path, reply: Reply) -> None:
    """Write the adapter's files into a folder, all of them or none.

    Raises ``EngineFailure`` in words where the service hands out no adapters, which is then saved
    there, and ``OSError`` where the folder cannot be written.
    """
    try:
        path = adapter.hand_out(f"export-{uuid.uuid4().hex[:8]}", SHORTEST_LIFE, reply)
    except EngineFailure as failure:
        if not is_gone(failure):
            raise
        saved = adapter.save("export", reply)
        raise EngineFailure(
            "unavailable",
            f"This service hands out no adapters; it is saved there as {saved}, and "
            "load_checkpoint_path takes it up.",
        ) from failure

    def ask() -> Any:
        import tinker

        return tinker.RestClient(base_url=connection.base_url).get_external_weights_urls(path)

    urls: dict[str, str] = connection.wait(
        "Asking for the adapter's files", ask, reply, connection.limits.connect
    ).urls
    if not urls:
        raise EngineFailure("unavailable", "The service has no files of this adapter to give.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"{folder.name}.tmp-{uuid.uuid4().hex[:8]}")
    partial.mkdir(mode=0o700)
    try:
        for number, (name, url) in enumerate(sorted(urls.items()), 1):
            reply.progress(f"Fetching {name}", number / (len(urls) + 1))
            file = _beneath(partial, name)
            _fetch(connection, url, file, reply)
            _require_whole(file)
        folder.mkdir(exist_ok=True)
        for file in partial.iterdir():
            file.replace(folder / file.name)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(partial)


def _beneath(folder: Path, name: str) -> Path:
    """Where a file of this name goes; a service may not name a place outside the folder."""
    if not name or name in (".", "..") or Path(name).name != name or "\0" in name:
        raise EngineFailure(
            "bad_adapter", f"The service names a file outside of the adapter ({name!r}): not taken."
        )
    return folder / name


def _require_whole(file: Path) -> None:
    """Fail in words where a file is not what its name says."""
    from safetensors import SafetensorError, safe_open

    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt"):
                return
        if file.suffix == ".json":
            json.loads(file.read_bytes())
    except (ValueError, SafetensorError):
        raise EngineFailure(
            "unavailable",
            f"The service gave a damaged {file.name}: nothing was written; try again.",
        ) from None


def _fetch(connection: Connection, url: str, file: Path, reply: Reply) -> None:
    """Fetch one file; a service that answers 5xx is asked again a few times, ever later."""
    import httpx

    def take() -> None:
        with (
            httpx.stream("GET", url, timeout=FILE_SECONDS, follow_redirects=True) as response,
            file.open("wb") as to,
        ):
            response.raise_for_status()
            for part in response.iter_bytes():
                to.write(part)

    def begin() -> None:
        for pause in PAUSES:
            try:
                return take()
            except httpx.HTTPStatusError as error:
                if not error.response.is_server_error:
                    raise
            time.sleep(pause)
        return take()

    connection.wait("Fetching the adapter", begin, reply, FETCH_SECONDS)
