"""Trials that were stopped early, in words: by what rule, and why."""

from __future__ import annotations

from collections.abc import Sequence

from crescendo.cli import wording
from crescendo.client.model import Orchestration, PruneDecision, Pruning, Stage, TuningRun

_STEPS = {
    "fold": "fold",
    "training_size": "training size",
    "boosting_round": "boosting round",
}


def asked(whole: Orchestration) -> list[str]:
    """Says how each stage stops trials early, and what that saved; one line where all do so alike.

    Returns: nothing where no stage does.
    """
    pruned = {stage.index: _runs(stage) for stage in whole.stages if _runs(stage)}
    rules = {index: _rules(runs) for index, runs in pruned.items()}
    if len(pruned) == len(whole.stages) and len(set(rules.values())) == 1:
        runs = [run for each in pruned.values() for run in each]
        return [f"{next(iter(rules.values()))}; {_outcome(runs)}"]
    return [
        f"stage {index + 1}: {rules[index]}; {_outcome(runs)}" for index, runs in pruned.items()
    ]


def _runs(stage: Stage) -> list[TuningRun]:
    return [run for run in stage.tuning_runs if run.pruning is not None]


def _rules(runs: Sequence[TuningRun]) -> str:
    """Says by what rules; of models with steps of their own, which are whose."""
    models: dict[str, list[str]] = {}
    for run in runs:
        if run.pruning is not None:
            models.setdefault(_rule(run.pruning), []).append(run.model_type)
    if len(models) == 1:
        return next(iter(models))
    return "; ".join(f"{rule}, of {' and '.join(of)}" for rule, of in models.items())


def _outcome(runs: Sequence[TuningRun]) -> str:
    if any(run.pruning is not None and run.pruning.step_kind == "boosting_round" for run in runs):
        # Each model goes on to its last round or is given up: none of its fits is saved whole.
        return f"{wording.count(sum(run.counts.pruned for run in runs), 'trial')} stopped early"
    return f"{wording.count(sum(run.fits_saved for run in runs), 'fit')} saved"


def told(stop: PruneDecision) -> str:
    """Says why a trial was stopped."""
    made = wording.count(stop.step, _STEPS.get(stop.step_kind, stop.step_kind))
    value, cut_off = wording.score(stop.value), wording.score(stop.cut_off)
    others = wording.count(stop.peers, "other")
    if stop.rule == "lossless":
        return f"lossless: after {made} at most {value}, kept from {cut_off}"
    if stop.rule == "median":
        return f"median: after {made} at {value}, the median of {others} is {cut_off}"
    if stop.rule == "asha":
        return f"asha: at the rung of {made} at {value}, goes on from {cut_off}, beside {others}"
    if stop.rule == "racing":
        return (
            f"racing: after {made} worse than the best so far, p = {stop.value:.2g} (a heuristic)"
        )
    return f"{stop.rule}: after {made} at {value}, against {cut_off}"


def _rule(pruning: Pruning) -> str:
    if pruning.rule == "lossless":
        return f"lossless, keeps the best {pruning.keep or 1}"
    figures = {
        "median": f"after {pruning.warmup_steps} and {pruning.startup_trials} other trials",
        "asha": f"one in {pruning.reduction_factor} goes on, first after {pruning.grace_period}",
        "racing": f"{pruning.test} at {pruning.level}, a heuristic",
    }
    words = figures.get(pruning.rule)
    if words and pruning.step_kind in ("training_size", "boosting_round"):
        steps = wording.count(pruning.max_steps or 0, _STEPS[pruning.step_kind])
        words = f"{words}, of {steps}"
    return f"{pruning.rule} ({words}), may stop the best" if words else pruning.rule
