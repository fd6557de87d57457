"""What a watcher saw, in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event; or, without a digest, a place to go on from: a snapshot or a cursor."""

    sequence: int
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything one watcher saw, in the order it came.

    Attributes:
        decoded: the digests are those of the client library's events, not of the raw ones.
        complete: the watcher says it saw the end.
        errors: what refused or dropped streams said.
    """

    name: str
    orchestration_id: str
    entries: Sequence[Entry]
    decoded: bool = False
    complete: bool = False
    errors: Sequence[str] = ()


def read_record(path: Path, *, name: str, orchestration_id: str, decoded: bool) -> Record:
    """Reads a file of lines `at SEQUENCE`, `event SEQUENCE DIGEST`, `error TEXT` and `end`."""
    entries: list[Entry] = []
    errors: list[str] = []
    complete = False
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        match kind:
            case "at":
                entries.append(Entry(sequence=int(rest)))
            case "event":
                sequence, _, digest = rest.partition(" ")
                entries.append(Entry(sequence=int(sequence), digest=digest))
            case "error":
                errors.append(rest)
            case "end":
                complete = True
            case _:
                raise ValueError(f"{path}: {line!r}")
    return Record(
        name=name,
        orchestration_id=orchestration_id,
        entries=entries,
        decoded=decoded,
        complete=complete,
        errors=errors,
    )
