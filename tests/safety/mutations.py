"""Changes to the folder of an adapter, by accident and on purpose, and what is loaded then."""

from __future__ import annotations

import math
import os
import pickle
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from continualcode_tui.training.manifest import ADAPTER, MANIFEST, OPTIMIZER, digest, seal, unseal
from continualcode_tui.training.pointer import line_for
from continualcode_tui.training.snapshots import CURRENT, GOOD
from safetensors.torch import load, save

from .program import ROOM

NEWEST, BEFORE, FIRST = 3, 2, 1
Change = Callable[[Path], object]


@dataclass(frozen=True)
class Mutation:
    """A change to the folder of an adapter, and which of its three snapshots is loaded then."""

    name: str
    change: Change
    loaded: int
    told: bool = True


# --- what is done to the folder -----------------------------------------------------------


def snapshot(folder: Path, number: int) -> Path:
    """The folder of a snapshot, by its place."""
    (found,) = folder.glob(f"snapshots/{number:06d}-*")
    return found


def flipped(path: Path, luck: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[luck.randrange(len(data))] ^= 1 << luck.randrange(8)
    path.write_bytes(data)


def cut(path: Path, luck: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: luck.randrange(len(data))])


def zeroed(path: Path, luck: random.Random) -> None:
    """As a disk that was cut off before the content came; the numbers are zeros anyway."""
    data = path.read_bytes()
    start = luck.randrange(min(60, len(data)))
    path.write_bytes(data[:start] + bytes(len(data) - start))


def longer(path: Path, luck: random.Random) -> None:
    path.write_bytes(path.read_bytes() + luck.randbytes(luck.randrange(1, 40)))


def gone(path: Path, luck: random.Random) -> None:
    path.unlink()


def linked(path: Path, luck: random.Random) -> None:
    """The content is the same, and lies elsewhere."""
    elsewhere = path.parent.parent / f"elsewhere-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def piped(path: Path, luck: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def foldered(path: Path, luck: random.Random) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = {
    flipped: 20, cut: 8, zeroed: 3, longer: 3, gone: 1, linked: 1, piped: 1, foldered: 1,
}  # fmt: skip
"""Each kind of damage, and how often it is done to each file."""


def resealed(folder: Path, number: int, **changes: Any) -> None:
    """Change a manifest as somebody does who knows how it is sealed."""
    path = snapshot(folder, number) / MANIFEST
    manifest = unseal(path.read_bytes(), path.parent.name)
    path.write_bytes(seal(manifest.model_copy(update=changes)))


def replaced(folder: Path, number: int, name: str, data: bytes) -> None:
    """Change a file, and the hash that its manifest has of it."""
    path = snapshot(folder, number) / name
    path.write_bytes(data)
    manifest = unseal((path.parent / MANIFEST).read_bytes(), path.parent.name)
    resealed(folder, number, files={**manifest.files, name: digest(data)})


def with_number(name: str, value: float, luck: random.Random) -> Change:
    """One number of a file becomes another."""
    place = luck.randrange(ROOM)

    def change(folder: Path) -> None:
        tensors = load((snapshot(folder, NEWEST) / name).read_bytes())
        next(iter(tensors.values()))[place] = value
        replaced(folder, NEWEST, name, save(tensors))

    return change


class Runs:
    """A pickle that leaves a mark when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def pickled(folder: Path, *, known: bool, through_torch: bool) -> None:
    mark = folder.parent / "it-ran"
    path = folder.parent / "pickle"
    if through_torch:
        torch.save({"numbers": Runs(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Runs(mark)))
    if known:
        replaced(folder, NEWEST, ADAPTER, path.read_bytes())
    else:
        shutil.copy(path, snapshot(folder, NEWEST) / ADAPTER)


def swapped(*names: str) -> Change:
    """The files of two snapshots change places."""

    def change(folder: Path) -> None:
        for name in names:
            one, other = snapshot(folder, NEWEST) / name, snapshot(folder, FIRST) / name
            between = folder / "between"
            one.rename(between)
            other.rename(one)
            between.rename(other)

    return change


def folders_swapped(folder: Path) -> None:
    one, other, between = snapshot(folder, NEWEST), snapshot(folder, FIRST), folder / "between"
    one.rename(between)
    other.rename(one)
    between.rename(other)


def folder_linked(folder: Path) -> None:
    path = snapshot(folder, NEWEST)
    path.rename(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")


def other_line(name: str, text: Callable[[Path], bytes]) -> Change:
    return lambda folder: (folder / name).write_bytes(text(folder))


def id_of(folder: Path, number: int) -> str:
    return snapshot(folder, number).name


def at_random() -> Iterator[Mutation]:
    """Every kind of damage to every file, at random places."""
    luck = random.Random(0)
    newest = dict.fromkeys((ADAPTER, OPTIMIZER, MANIFEST), (NEWEST, BEFORE))
    for damage, times in DAMAGES.items():
        for at in range(times):
            seed = luck.randrange(1 << 30)
            for name, (number, loaded) in newest.items():
                yield Mutation(
                    f"{name} {damage.__name__} {at}",
                    lambda folder, d=damage, n=name, s=seed, k=number: d(
                        snapshot(folder, k) / n, random.Random(s)
                    ),
                    loaded,
                )
            for name, loaded, told in ((CURRENT, BEFORE, True), (GOOD, NEWEST, False)):
                yield Mutation(
                    f"{name} {damage.__name__} {at}",
                    lambda folder, d=damage, n=name, s=seed: d(folder / n, random.Random(s)),
                    loaded,
                    told,
                )
            # What lies below the current snapshot costs it nothing.
            yield Mutation(
                f"older {ADAPTER} {damage.__name__} {at}",
                lambda folder, d=damage, s=seed: d(
                    snapshot(folder, BEFORE) / ADAPTER, random.Random(s)
                ),
                NEWEST,
                told=False,
            )
            # Two at once.
            yield Mutation(
                f"two {damage.__name__} {at}",
                lambda folder, d=damage, s=seed: (
                    [
                        d(snapshot(folder, number) / ADAPTER, random.Random(s))
                        for number in (NEWEST, BEFORE)
                    ]
                ),
                FIRST,
            )


def on_purpose() -> Iterator[Mutation]:
    """What no accident does, but somebody who knows how the folder is made."""
    luck = random.Random(1)
    for name in (ADAPTER, OPTIMIZER):
        for value in (math.nan, math.inf, -math.inf):
            for at in range(4):
                yield Mutation(f"{name} {value} {at}", with_number(name, value, luck), BEFORE)
    for known in (True, False):
        for through_torch in (True, False):
            yield Mutation(
                f"pickle {known} {through_torch}",
                lambda folder, k=known, t=through_torch: pickled(folder, known=k, through_torch=t),
                BEFORE,
            )
    for field, value in {
        "model": "another-model", "rank": 3, "targets": "attention", "scope": "everywhere",
    }.items():  # fmt: skip
        yield Mutation(
            f"another {field}",
            lambda folder, f=field, v=value: resealed(folder, NEWEST, **{f: v}),
            BEFORE,
        )
    shapes = {"short": torch.zeros(ROOM - 1), "square": torch.zeros(ROOM, ROOM)}
    for name, tensor in shapes.items():
        yield Mutation(
            f"another shape, {name}",
            lambda folder, t=tensor: replaced(folder, NEWEST, ADAPTER, save({"numbers": t})),
            BEFORE,
        )
    yield Mutation(
        "another name",
        lambda folder: replaced(folder, NEWEST, ADAPTER, save({"others": torch.zeros(ROOM)})),
        BEFORE,
    )
    yield Mutation("swapped adapters", swapped(ADAPTER), BEFORE)
    yield Mutation("swapped manifests", swapped(MANIFEST), BEFORE)
    yield Mutation("swapped files", swapped(ADAPTER, OPTIMIZER, MANIFEST), BEFORE)
    yield Mutation("swapped folders", folders_swapped, BEFORE)
    yield Mutation("a link to the folder", folder_linked, BEFORE)
    yield Mutation(
        "its own parent",
        lambda folder: resealed(folder, NEWEST, parent=id_of(folder, NEWEST)),
        BEFORE,
    )
    yield Mutation(
        "a circle", lambda folder: resealed(folder, FIRST, parent=id_of(folder, NEWEST)), NEWEST,
        told=False,
    )  # fmt: skip
    yield Mutation(
        "a file elsewhere",
        lambda folder: resealed(folder, NEWEST, files={"../../../passwd": "0" * 64}),
        BEFORE,
    )
    yield Mutation("no files", lambda folder: resealed(folder, NEWEST, files={}), BEFORE)
    for name in ("/etc", "../..", "000009-00000000", "000003", "", "base", "000003-XXXXXXXX"):
        yield Mutation(
            f"current names {name!r}",
            lambda folder, n=name: (folder / CURRENT).write_text(f"{n}\n"),
            BEFORE,
        )
        sealed = other_line(CURRENT, lambda folder, n=name: line_for(n))
        if name not in ("", "base"):
            yield Mutation(f"current names {name!r} with a checksum", sealed, BEFORE)
    yield Mutation("no pointers", lambda f: [gone(f / n, luck) for n in (CURRENT, GOOD)], NEWEST)
