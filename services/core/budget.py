"""Budgets: what a search may use up at most, what it has used, and what that decides.

Costs: an attempt at a trial costs its time times the price of a slot. With a wall limit it costs at
most the price of the limit, which is reserved when it starts: the preparation before the limit begins
and the seconds a process is given to end after it are not charged. So a cost limit is never exceeded.
Without a wall limit trials start while anything is left, and what runs then may exceed it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from services.core.errors import FieldViolation, InvalidRequest
from services.core.limits import MAX_SECONDS

_SECONDS_PER_HOUR = 3600.0
# Sums of fractions are a little off: 0.3 pays for three times 0.1.
_ROUNDING = 1e-9
# Every limit lies between these, so that no product or quotient of some is too large or too small.
_LEAST = 1e-9
_MOST_MONEY = 1e12
_MOST: Mapping[str, float] = {
    "max_seconds": MAX_SECONDS,
    "max_cost": _MOST_MONEY,
    "price_per_hour": _MOST_MONEY,
    "trial_timeout_seconds": MAX_SECONDS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits of one orchestration; None where there is none.

    Attributes:
        max_trials: trials of all stages together, ≥ 1.
        max_failed_trials: failed trials, ≥ 0; one more ends the search as FAILED.
        max_seconds: time RUNNING on the database's clock, > 0; pauses do not count.
        max_cost: sum of what attempts cost, > 0.
        price_per_hour: price of one slot for an hour, > 0; needed for `max_cost`.
        trial_timeout_seconds: wall limit of a trial, > 0; what an attempt reserves follows from it.

    Raises: InvalidRequest: a limit is out of range, there is a cost limit without a price, or one below
        what a single trial may cost.
    """

    max_trials: int | None = None
    max_failed_trials: int | None = None
    max_seconds: float | None = None
    max_cost: float | None = None
    price_per_hour: float | None = None
    trial_timeout_seconds: float | None = None

    def __post_init__(self) -> None:
        """Checks all limits."""
        problems = [
            FieldViolation(
                field=f"budget.{name}", description=f"is {value}, must be at least {least}"
            )
            for name, least in (("max_trials", 1), ("max_failed_trials", 0))
            if (value := getattr(self, name)) is not None and value < least
        ]
        problems += [
            FieldViolation(
                field=f"budget.{name}",
                description=f"is {value:g}, must be between {_LEAST:g} and {most:.0f}",
            )
            for name, most in _MOST.items()
            if (value := getattr(self, name)) is not None and not _LEAST <= value <= most
        ]
        if self.max_cost is not None and self.price_per_hour is None:
            problems.append(
                FieldViolation(
                    field="budget.price_per_hour",
                    description="is missing, and the operator has set no price; a cost limit needs"
                    " the price of one slot for an hour",
                )
            )
        if not problems and self.max_cost is not None and self._rooms(self.max_cost) < 1:
            problems.append(
                FieldViolation(
                    field="budget.max_cost",
                    description=f"is {self.max_cost:g}, and one trial may cost up to"
                    f" {self.reservation:g} ({self.trial_timeout_seconds:g} s at"
                    f" {self.price_per_hour:g} an hour): nothing could run; raise it or lower"
                    " trial_timeout_seconds",
                )
            )
        if problems:
            raise InvalidRequest(problems)

    @property
    def price_per_second(self) -> float:
        """Price of one slot for a second; 0 where nothing is charged."""
        return (self.price_per_hour or 0.0) / _SECONDS_PER_HOUR

    @property
    def reservation(self) -> float:
        """What an attempt may cost at most: the price of its wall limit; 0 where that is unknown."""
        return self.price_per_second * (self.trial_timeout_seconds or 0.0)

    @property
    def is_priced(self) -> bool:
        """Whether attempts cost anything."""
        return self.price_per_hour is not None

    @property
    def reserves(self) -> bool:
        """Whether an attempt reserves what it may cost before it starts."""
        return self.reservation > 0

    def room_for_trials(self, created: int) -> int | None:
        """Counts trials that may still be created after so many; None without a limit."""
        return None if self.max_trials is None else max(0, self.max_trials - created)

    def room_for_attempts(self, *, cost: float, reserved_attempts: int) -> int | None:
        """Counts attempts that may start now; None without a limit.

        Args:
            cost: what ended attempts cost.
            reserved_attempts: attempts whose price is reserved and not known yet.
        """
        if self.max_cost is None:
            return None
        if not self.reserves:
            return None if cost < self.max_cost else 0
        return max(0, self._rooms(self.max_cost - cost) - reserved_attempts)

    def charge(self, *, told_seconds: float | None, elapsed_seconds: float) -> float:
        """Gives what one attempt costs: never more than was reserved for it.

        Args:
            told_seconds: how long the worker says it took; None, or not a number above 0: nobody knows.
            elapsed_seconds: from the claim to now, or to when it left its worker: it took no longer.
        """
        seconds = max(0.0, elapsed_seconds)
        if told_seconds is not None and math.isfinite(told_seconds) and told_seconds > 0:
            seconds = min(seconds, told_seconds)
        if self.trial_timeout_seconds is not None:
            seconds = min(seconds, self.trial_timeout_seconds)
        charged = seconds * self.price_per_second
        return min(charged, self.reservation) if self.reserves else charged

    def added(self, cost: float, change: float) -> float:
        """Adds to the cost; what rounding alone brings above the limit is cut off."""
        total = max(0.0, cost + change)
        if self.max_cost is not None and total <= self.max_cost * (1 + 4 * _ROUNDING):
            return min(total, self.max_cost)
        return total

    def seconds_left(self, active_seconds: float) -> float | None:
        """Gives the time it may still be RUNNING; None without a limit."""
        return None if self.max_seconds is None else max(0.0, self.max_seconds - active_seconds)

    def _rooms(self, money: float) -> int:
        if not self.reserves:
            return 1 if money > 0 else 0
        return max(0, math.floor(money / self.reservation * (1 + _ROUNDING) + _ROUNDING))


class Limit(Enum):
    """What ends a search before its plan does; the value is the reason it ends with."""

    TRIALS = "BUDGET_SPENT"
    FAILURES = "TOO_MANY_FAILURES"
    SECONDS = "DEADLINE_REACHED"
    COST = "COST_SPENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """What was used up: seconds RUNNING, the cost of ended attempts, what is held for running ones.

    `copied_trials` used nothing: they have the result of an earlier trial, and no limit counts them.
    """

    active_seconds: float = 0.0
    cost: float = 0.0
    reserved_cost: float = 0.0
    copied_trials: int = 0


UNLIMITED: Final = Budget()
"""A budget without limits."""

NOTHING_USED: Final = BudgetUse()
"""What a search has used before it begins."""


def limit_reached(
    budget: Budget,
    *,
    failed: int,
    active_seconds: float,
    cost: float,
    queued: int,
    running: int,
    reserved_attempts: int,
) -> Limit | None:
    """Gives the limit that ends a search now.

    The cost ends it when trials wait and no further attempt can be paid for, none runs and none may
    still give back a part of what it reserved. The trials are no such limit: those created run to their ends.
    """
    if budget.max_failed_trials is not None and failed > budget.max_failed_trials:
        return Limit.FAILURES
    if budget.max_seconds is not None and active_seconds >= budget.max_seconds:
        return Limit.SECONDS
    if (
        queued > 0
        and running == 0
        and reserved_attempts == 0
        and budget.room_for_attempts(cost=cost, reserved_attempts=0) == 0
    ):
        return Limit.COST
    return None
