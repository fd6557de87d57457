"""Values of the core of every kind, as hypothesis draws them."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from services.core import event as events
from services.core import run as runs
from services.core.intervals import SplitFacts
from services.core.objective import ColumnKind, EvaluationSpec, Step
from services.core.plan import LifecycleState
from services.core.pruning import PruneDecision
from services.core.pruning_settings import (
    PRUNING_RULES,
    StepKind,
)
from services.core.refinement import ParameterRefinement, Refinement
from services.core.selection import ONE_STANDARD_ERROR, Preference, Selection, Simpler
from services.core.space import (
    Choices,
    Domain,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
)
from services.core.splitting import Splitter
from services.core.trial import (
    Failure,
    FailureKind,
    SplitScores,
    TrialState,
)

# hypothesis wants naive bounds and adds the zone itself.
_NAIVE_START = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_NAIVE_END = datetime(2100, 1, 1, tzinfo=UTC).replace(tzinfo=None)
names = st.text(min_size=1, max_size=12)
floats = st.floats(allow_nan=False, allow_infinity=False)
ints = st.integers(min_value=-(2**63), max_value=2**63 - 1)
counts = st.integers(min_value=0, max_value=2**31 - 1)
scalars = st.one_of(st.none(), st.booleans(), ints, floats, st.text(max_size=8))
values: st.SearchStrategy[Value] = st.one_of(scalars, st.lists(scalars, max_size=4).map(tuple))
value_tuples = st.lists(values, min_size=1, max_size=4).map(tuple)


@st.composite
def float_ranges(draw: st.DrawFn) -> FloatRange:
    low, high = sorted((draw(floats), draw(floats)))
    step = draw(st.none() | st.floats(min_value=1e-300, allow_infinity=False))
    return FloatRange(low=low, high=high, log=low > 0 and draw(st.booleans()), step=step)


@st.composite
def int_ranges(draw: st.DrawFn) -> IntRange:
    low, high = sorted((draw(ints), draw(ints)))
    log = low > 0 and draw(st.booleans())
    return IntRange(low=low, high=high, log=log, step=draw(st.integers(1, 100)))


domains: st.SearchStrategy[Domain] = st.one_of(
    float_ranges(),
    int_ranges(),
    st.builds(Choices, values=value_tuples),
    st.builds(Fixed, value=values),
    st.builds(Grid, values=value_tuples),
)
parameters = st.builds(
    Parameter, name=names, domain=domains, specials=st.one_of(st.just(()), value_tuples)
)
spaces = st.lists(parameters, max_size=3, unique_by=lambda each: each.name).map(
    lambda each: SearchSpace(parameters=tuple(sorted(each, key=lambda one: one.name)))
)
assignments = st.dictionaries(names, values, max_size=4)
moments = st.datetimes(min_value=_NAIVE_START, max_value=_NAIVE_END, timezones=st.just(UTC))
prunes = st.builds(
    PruneDecision,
    stop=st.just(True),
    rule=st.sampled_from(PRUNING_RULES),
    step_kind=st.sampled_from(StepKind),
    step=counts,
    value=floats,
    cut_off=floats,
    peers=counts,
)
failures = st.builds(Failure, kind=st.sampled_from(FailureKind), message=st.text(max_size=20))
split_scores = st.lists(floats, max_size=5).map(tuple)
metrics = st.lists(
    st.builds(SplitScores, metric=names, scores=split_scores, train_scores=split_scores),
    max_size=2,
).map(tuple)
splits = st.lists(
    st.builds(
        SplitFacts,
        train_rows=counts,
        test_rows=counts,
        fit_seconds=floats,
        score_seconds=floats,
        best_rounds=st.one_of(st.none(), st.integers(1, 10_000)),
        optimistic=st.booleans(),
    ),
    max_size=5,
).map(tuple)
bests = st.builds(
    runs.BestTrial,
    trial_number=counts,
    tuning_run_id=names,
    model_run_id=names,
    model_type=names,
    method=names,
    score=floats,
    parameters=assignments,
)
splitters = st.builds(
    Splitter,
    type=names,
    n_splits=st.none() | counts,
    shuffle=st.none() | st.booleans(),
    n_repeats=st.none() | counts,
    test_size=st.none() | floats,
    gap=st.none() | counts,
    max_train_rows=st.none() | counts,
    test_rows=st.none() | counts,
)
evaluations = st.builds(
    EvaluationSpec,
    dataset_id=names,
    dataset_hash=names,
    model_type=names,
    fixed_parameters=assignments,
    steps=st.lists(
        st.builds(
            Step,
            type=names,
            name=names,
            parameters=assignments,
            columns=st.sampled_from(ColumnKind),
        ),
        max_size=2,
    ).map(tuple),
    cv_folds=st.integers(2, 20),
    metrics=st.lists(names, min_size=1, max_size=3).map(tuple),
    random_state=st.integers(0, 2**32 - 1),
    trial_timeout_seconds=st.one_of(st.none(), st.integers(1, 10**6).map(lambda n: n / 1000)),
    splitter=st.none() | splitters,
    weighted_scoring=st.booleans(),
    return_train_scores=st.booleans(),
)
refinements = st.builds(
    Refinement,
    refinement_id=counts,
    orchestration_id=names,
    source_tuning_run_id=names,
    target_tuning_run_id=names,
    refinement_factor=floats,
    evidence_trial_numbers=st.lists(counts, max_size=4).map(tuple),
    best_trial_number=counts,
    parameters=st.lists(
        st.builds(
            ParameterRefinement,
            name=names,
            before=parameters,
            after=parameters,
            rule=names,
            explanation=names,
        ),
        max_size=2,
    ).map(tuple),
    space_before=spaces,
    space_after=spaces,
    summary=names,
)
SELECTION = Selection(
    rule=ONE_STANDARD_ERROR,
    simpler=(
        Simpler(parameter="C", prefer=Preference.LOWER),
        Simpler(parameter="tol", prefer=Preference.HIGHER),
    ),
)
states = st.sampled_from(LifecycleState)
payloads: st.SearchStrategy[events.Payload] = st.one_of(
    st.builds(
        events.OrchestrationChanged,
        state=states,
        reason=names,
        message=names,
        final=st.booleans(),
    ),
    st.builds(
        events.StageChanged,
        stage_index=st.integers(0, 9),
        tuning_run_id=names,
        state=states,
        planned_trials=counts,
    ),
    st.builds(events.RefinementMade, refinement=refinements),
    st.builds(events.TrialsQueued, tuning_run_id=names, first_number=counts, count=counts),
    st.builds(
        events.TrialStarted, number=counts, attempt=counts, worker=names, tuning_run_id=names
    ),
    st.builds(events.FoldScored, number=counts, attempt=counts, split=counts, score=floats),
    st.builds(
        events.TrialRequeued, number=counts, attempt=counts, cause=st.sampled_from(FailureKind)
    ),
    st.builds(
        events.TrialFinished,
        number=counts,
        attempt=counts,
        state=st.sampled_from(TrialState),
        tuning_run_id=names,
        score=st.one_of(st.none(), floats),
        split_scores=split_scores,
        failure=st.one_of(st.none(), failures),
        duration_seconds=floats,
        prune_decision=st.one_of(st.none(), prunes),
        train_scores=split_scores,
    ),
    st.builds(events.BestImproved, best=bests),
    st.builds(events.OrchestrationReopened, total_trials=counts),
    st.builds(events.Notice, reason=names, message=names, tuning_run_id=names),
)
