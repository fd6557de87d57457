"""Which history of the database the logs belong to, and when another one begins.

Watchers resume by numbers. After a restore that lost commits the same numbers mean other events, so
every log belongs to an epoch, and whatever may have lost commits begins another one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseIdentity:
    """Where a database lives; None for what may not be asked.

    Attributes:
        system_identifier: of the server's data; another one after a restore into a new server.
        timeline: rises with every recovery to a point in time and every promotion of a standby.
        database_oid: another one after a restore into a database made anew.
        table_oid: another one after a restore that made the tables anew.
    """

    system_identifier: str | None
    timeline: int | None
    database_oid: int | None
    table_oid: int | None

    def differences(self, other: DatabaseIdentity) -> list[str]:
        """Names what is known of both and differs."""
        return [
            each.name
            for each in fields(self)
            if (mine := getattr(self, each.name)) is not None
            and (theirs := getattr(other, each.name)) is not None
            and mine != theirs
        ]

    def filled_from(self, other: DatabaseIdentity) -> DatabaseIdentity:
        """Takes over from another what is not known here."""
        known = {each.name: getattr(other, each.name) for each in fields(self)}
        return replace(
            self, **{name: value for name, value in known.items() if getattr(self, name) is None}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one connection finds.

    Attributes:
        epoch: as it is stored.
        stored: where that epoch began.
        found: where it is found now.
        flushed: bytes of the server's log that are on disk; None where it may not be asked.
    """

    epoch: str
    stored: DatabaseIdentity
    found: DatabaseIdentity
    flushed: int | None


def reasons_for_a_new_epoch(
    observation: Observation, *, known_epoch: str, known_flushed: int
) -> list[str]:
    """Says why commits may have been lost; nothing when they cannot have been.

    Args:
        known_epoch: the epoch this process knew before it looked; empty at its start.
        known_flushed: bytes of log it had seen on disk before it looked: a server never goes back.
    """
    reasons = observation.found.differences(observation.stored)
    # Where another process began an epoch meanwhile, what was known belongs to the one before.
    if (
        known_epoch == observation.epoch
        and observation.flushed is not None
        and observation.flushed < known_flushed
    ):
        reasons.append("flushed")
    return reasons
