"""What a request may say of pruning, given the models and the data it prunes on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.coordinator.ports import Dataset, ModelRun
from services.coordinator.service.scoring_checks import Splits
from services.core.iterative_models import rounds_problem
from services.core.metrics import METRICS, score_ceiling
from services.core.pruning_settings import (
    LOSSLESS,
    PRUNING_RULES,
    RULE_FIGURES,
    TRAINING_FRACTION,
    Pruning,
    StepKind,
)
from services.core.space import SearchSpace
from services.core.training_sizes import rung_rows
from services.core.violations import Violations


def check_pruning(
    found: Violations, asked: Mapping[str, Any] | None, *, metric: str, splits: int
) -> Pruning | None:
    """Makes what was set of pruning; None when nothing is stopped early, or it was refused.

    Args:
        asked: what was set of the fields of Pruning.
        metric: the objective, already checked itself.
        splits: how many each trial is scored on.
    """
    if asked is None:
        return None
    rule = asked.get("rule", LOSSLESS)
    if rule == LOSSLESS and metric in METRICS and score_ceiling(metric) is None:
        found.add(
            "pruning",
            f"lossless pruning needs a metric with a highest score, and {metric} may exceed its own "
            "by rounding; leave pruning out, or take another rule or metric",
        )
    if asked.get("max_steps"):
        found.add("pruning.max_steps", "is what the service says; leave it out")
    kind = asked.get("step_kind", StepKind.FOLD)
    if not isinstance(kind, StepKind):
        known = ", ".join(each.value for each in StepKind)
        found.add("pruning.step_kind", f"{kind} is no kind of step; known: {known}")
        kind = StepKind.FOLD
    figures: dict[str, Any] = {}
    for owner, names in RULE_FIGURES.items():
        given = {name: asked[name] for name in names if name in asked}
        if owner == rule or rule not in PRUNING_RULES:
            figures |= given
            continue
        for name in given:
            found.add(f"pruning.{name}", f"is a figure of {owner}, and the rule is {rule}")
    if TRAINING_FRACTION in asked:
        figures[TRAINING_FRACTION] = asked[TRAINING_FRACTION]
        if kind is not StepKind.TRAINING_SIZE:
            found.add(
                f"pruning.{TRAINING_FRACTION}",
                f"goes with steps of training size, and a step is a {kind.value}",
            )
    with found.gathered():
        # Fewer than two splits are refused themselves; what fits into them is no other mistake.
        folds = splits if kind is StepKind.FOLD and splits > 1 else 0
        pruning = Pruning(rule=rule, step_kind=kind, max_steps=folds, **figures)
        if kind is not StepKind.TRAINING_SIZE:
            return pruning
        try:
            return replace(pruning, max_steps=len(pruning.training_fractions))
        except ValueError as error:
            found.add(f"pruning.{TRAINING_FRACTION}", str(error))
    return None


def check_steps(
    found: Violations,
    pruning: Pruning | None,
    *,
    dataset: Dataset,
    model_runs: Sequence[ModelRun],
    splits: Splits,
) -> None:
    """Checks that every model can be stopped between the steps asked for, whatever is searched of it."""
    if pruning is None:
        return
    if pruning.step_kind is StepKind.BOOSTING_ROUND:
        told: dict[str, None] = {}
        for each in model_runs:
            problem = rounds_problem(
                each.model_type,
                each.fixed_parameters,
                SearchSpace(parameters=()),
                rows=dataset.row_count,
            )
            if problem:
                told[problem] = None
        for problem in told:
            found.add("pruning.step_kind", f"is boosting_round, and {problem}")
    elif pruning.step_kind is StepKind.TRAINING_SIZE and splits.splitter is None:
        train = dataset.row_count - math.ceil(dataset.row_count / max(2, splits.count))
        smallest = rung_rows(train, pruning.min_training_fraction)
        classes = len(dataset.class_counts)
        if smallest < max(2, classes):
            found.add(
                f"pruning.{TRAINING_FRACTION}",
                f"is {pruning.min_training_fraction:g}, which leaves {smallest} of {train} training rows on"
                f" the first rung; it takes {max(2, classes)}, one of each class and two at least",
            )
