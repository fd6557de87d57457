"""Comparing two candidates over the same splits, by a test which knows that splits share rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import stdtr

from services.core.intervals import (
    IntervalMethod,
    ScoreInterval,
    SplitFacts,
    interval_method,
    is_drawn_anew,
    score_intervals,
)
from services.core.model_catalog import MODEL_TYPES
from services.core.objective import EvaluationSpec, Task
from services.core.splitting import DEFAULT_REPEATS, DEFAULT_TEST_SIZE, SPLITTERS, Splitter
from services.core.statistics import mean_score
from services.core.trial import SplitScores, Trial, TrialState


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """The paired corrected resampled t-test of two candidates.

    Attributes:
        statistic: mean difference in standard errors; infinite where every split differs by the same.
        degrees_of_freedom: splits − 1.
        p_value: two-sided, in [0, 1]: how likely so large a difference is if the two are as good.
    """

    statistic: float
    degrees_of_freedom: int
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreComparison:
    """How much better one candidate scored than another.

    Attributes:
        metric: scikit-learn's scorer, higher is better.
        differences: first − second, per split.
        difference: their mean.
        first_mean, second_mean: the means they are compared by.
        method: how test and intervals come about; NONE where there are none.
        test: None where nothing can be tested: a single split, a time series, unknown parts.
        intervals: around `difference`; empty where there is no test.
    """

    metric: str
    first_mean: float
    second_mean: float
    differences: tuple[float, ...]
    difference: float
    method: IntervalMethod
    test: PairedTest | None
    intervals: tuple[ScoreInterval, ...]


class NotComparable(ValueError):
    """Two trials cannot be compared; `reasons` says why, each in words."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons: Final = tuple(reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trial with what it computed."""

    trial: Trial
    evaluation: EvaluationSpec


def compare_candidates(
    first: Candidate, second: Candidate, *, metric: str | None = None
) -> ScoreComparison:
    """Compares two candidates by the paired corrected resampled t-test.

    t = d̄ / √((1/J + mean(n_test/n_train)) · s²) over the J differences of split scores, s² with
    ddof 1, against Student's t with J − 1 degrees of freedom (Nadeau & Bengio 2003, "Inference for the
    Generalization Error", section 3.3). Over folds that were made once, the correction is a heuristic.

    Args:
        metric: which metric to compare by; None for the first's objective.

    Raises: NotComparable: a trial has not succeeded, or has no finite scores of the metric; or the two
        were not scored on the same splits of the same data.
    """
    reasons = [*_unfinished(first.trial), *_unfinished(second.trial)]
    reasons += split_differences(first.evaluation, second.evaluation)
    reasons += [each for one in (first, second) for each in _optimistic(one.trial)]
    name = first.evaluation.metrics[0] if metric is None else metric
    scores = [_scores(each, name) for each in (first, second)]
    for each, found in zip((first, second), scores, strict=True):
        if each.trial.state is TrialState.SUCCEEDED:
            reasons += _unscored(each, found, name)
    if not reasons and not _same_parts(first.trial.splits, second.trial.splits):
        reasons.append("their splits differ in size, so they are not the same splits")
    if reasons:
        raise NotComparable(reasons)
    return compare_scores(
        *(each.scores for each in scores if each is not None),
        metric=name,
        splits=first.trial.splits,
        method=interval_method(first.evaluation.splitter),
    )


def compare_scores(
    first: Sequence[float],
    second: Sequence[float],
    *,
    metric: str,
    splits: Sequence[SplitFacts],
    method: IntervalMethod,
) -> ScoreComparison:
    """Compares finite scores over the same splits, in split order; `compare_candidates` says how."""
    # Scores of errors may be so large that their difference is beyond the largest float.
    with np.errstate(over="ignore", invalid="ignore"):
        differences = (np.asarray(first, np.float64) - np.asarray(second, np.float64)).tolist()
        difference = mean_score(differences)
    intervals = score_intervals(differences, splits, method)
    return ScoreComparison(
        metric=metric,
        first_mean=mean_score(first),
        second_mean=mean_score(second),
        differences=tuple(differences),
        difference=difference,
        method=method if intervals else IntervalMethod.NONE,
        # There is an interval exactly where there is a test.
        test=_test(differences, splits) if intervals else None,
        intervals=intervals,
    )


def _test(differences: Sequence[float], splits: Sequence[SplitFacts]) -> PairedTest:
    count = len(differences)
    mean = float(np.mean(differences))
    ratio = sum(each.test_rows / each.train_rows for each in splits) / count
    error = math.sqrt((1.0 / count + ratio) * float(np.var(differences, ddof=1)))
    statistic = mean / error if error > 0.0 else math.copysign(math.inf, mean)
    if mean == 0.0:
        statistic = 0.0
    return PairedTest(
        statistic=statistic,
        degrees_of_freedom=count - 1,
        p_value=min(1.0, 2.0 * float(stdtr(count - 1, -abs(statistic)))),
    )


def split_differences(first: EvaluationSpec, second: EvaluationSpec) -> list[str]:
    """Says in words why two evaluations are not scored on the same splits in the same way; empty if they are."""
    found = []
    if first.dataset_hash != second.dataset_hash:
        found.append(
            f"they are on different data ({first.dataset_id} and {second.dataset_id}): scores on"
            " different rows cannot be paired"
        )
    ours, theirs = _splitter(first), _splitter(second)
    if ours != theirs:
        found.append(f"their splits differ ({_told(ours)} and {_told(theirs)})")
    elif _is_seeded(ours) and first.random_state != second.random_state:
        found.append(
            f"their splits were drawn with different seeds ({first.random_state} and"
            f" {second.random_state})"
        )
    if first.weighted_scoring != second.weighted_scoring:
        found.append("one is scored with weights, the other without")
    return found


def _splitter(spec: EvaluationSpec) -> Splitter:
    """The splitter with what scikit-learn takes where nothing is said: what is the same is equal."""
    given = spec.splitter
    if given is None:
        classes = MODEL_TYPES[spec.model_type].task is Task.CLASSIFICATION
        return Splitter(
            type="stratified_k_fold" if classes else "k_fold",
            n_splits=spec.cv_folds,
            shuffle=False,
        )
    takes = SPLITTERS[given.type].settings
    return Splitter(
        type=given.type,
        n_splits=given.n_splits,
        shuffle=bool(given.shuffle) if "shuffle" in takes else None,
        n_repeats=(given.n_repeats or DEFAULT_REPEATS) if "n_repeats" in takes else None,
        test_size=(given.test_size or DEFAULT_TEST_SIZE) if "test_size" in takes else None,
        gap=(given.gap or 0) if "gap" in takes else None,
        max_train_rows=given.max_train_rows,
        test_rows=given.test_rows,
    )


def _is_seeded(splitter: Splitter) -> bool:
    return bool(splitter.shuffle) or is_drawn_anew(splitter)


def _told(splitter: Splitter) -> str:
    settings = [
        f"{name}={value}"
        for name in ("n_splits", "shuffle", "n_repeats", "test_size", "gap")
        if (value := getattr(splitter, name))
    ]
    settings += [
        f"{name}={value}"
        for name in ("max_train_rows", "test_rows")
        if (value := getattr(splitter, name)) is not None
    ]
    return f"{splitter.type}({', '.join(settings)})"


def _unfinished(trial: Trial) -> list[str]:
    if trial.state is TrialState.SUCCEEDED:
        return []
    why = {
        TrialState.PRUNED: "it was stopped before its last split",
        TrialState.FAILED: "it has no score",
        TrialState.CANCELLED: "it has no score",
    }.get(trial.state, "wait until it has ended")
    return [f"trial {trial.number} is {trial.state.name}: {why}"]


def _optimistic(trial: Trial) -> list[str]:
    if not any(each.optimistic for each in trial.splits):
        return []
    return [
        f"trial {trial.number} was stopped early by the rows it is scored on, which flatters its scores"
    ]


def _scores(candidate: Candidate, metric: str) -> SplitScores | None:
    return next((each for each in candidate.trial.metrics if each.metric == metric), None)


def _unscored(candidate: Candidate, scores: SplitScores | None, metric: str) -> list[str]:
    number = candidate.trial.number
    if scores is None:
        names = ", ".join(candidate.evaluation.metrics)
        return [f"trial {number} has no {metric}; it was scored by {names}"]
    if not all(map(math.isfinite, scores.scores)):
        return [f"the {metric} of trial {number} is undefined on some splits"]
    return []


def _same_parts(first: Sequence[SplitFacts], second: Sequence[SplitFacts]) -> bool:
    # Trials from before parts were told, and those a worker told nothing of, have none.
    if not first or not second:
        return True
    return [(each.train_rows, each.test_rows) for each in first] == [
        (each.train_rows, each.test_rows) for each in second
    ]
