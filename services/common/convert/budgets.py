"""Budgets and what was used of them, to and from protobuf."""

from __future__ import annotations

from services.core.budget import Budget, BudgetUse
from tuning.v1 import orchestration_pb2 as pb


def budget_to_proto(budget: Budget) -> pb.Budget:
    """Encodes a budget; what has no limit stays absent."""
    return pb.Budget(
        max_trials=budget.max_trials,
        max_failed_trials=budget.max_failed_trials,
        max_seconds=budget.max_seconds,
        max_cost=budget.max_cost,
        price_per_hour=budget.price_per_hour,
        trial_timeout_seconds=budget.trial_timeout_seconds,
    )


def budget_from_proto(message: pb.Budget) -> Budget:
    """Decodes a budget. Raises: InvalidRequest: a limit is out of range."""
    return Budget(**{field.name: value for field, value in message.ListFields()})


def budget_use_to_proto(used: BudgetUse) -> pb.BudgetUse:
    """Encodes what was used."""
    return pb.BudgetUse(
        active_seconds=used.active_seconds,
        cost=used.cost,
        reserved_cost=used.reserved_cost,
        copied_trials=used.copied_trials,
    )


def budget_use_from_proto(message: pb.BudgetUse) -> BudgetUse:
    """Decodes what was used."""
    return BudgetUse(
        active_seconds=message.active_seconds,
        cost=message.cost,
        reserved_cost=message.reserved_cost,
        copied_trials=message.copied_trials,
    )
