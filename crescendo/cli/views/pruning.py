"""Trials that were stopped early, in words: by what rule, and why."""

from __future__ import annotations

from crescendo.cli import wording
from crescendo.client.model import Orchestration, PruneDecision, Pruning

_STEPS = {
    "fold": "fold",
    "training_size": "training size",
    "boosting_round": "boosting round",
}


def asked(whole: Orchestration) -> str:
    """Says how a search stops trials early, and what that saved; empty where it does not."""
    runs = [run for stage in whole.stages for run in stage.tuning_runs]
    rules = [run.pruning for run in runs if run.pruning is not None]
    if not rules:
        return ""
    if rules[-1].step_kind == "boosting_round":
        # Each model goes on to its last round or is given up: none of its fits is saved whole.
        outcome = f"{wording.count(sum(run.counts.pruned for run in runs), 'trial')} stopped early"
    else:
        outcome = f"{sum(run.fits_saved for run in runs):,} fits saved"
    # The last stage's is the one that was asked for; those before keep what a refinement rests on.
    return f"{_rule(rules[-1])}; {outcome}"


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
