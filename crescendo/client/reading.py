"""Following orchestrations and reading their results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crescendo.client import decoding
from crescendo.client.connection import PAGE_SIZE, Connection, pages
from crescendo.client.events import WatchItem
from crescendo.client.model import (
    BestModel,
    Orchestration,
    Refinement,
    RunHistory,
    State,
    TracedTrial,
    Trial,
    TrialComparison,
    TuningRun,
)
from crescendo.client.requests import optional_fields
from crescendo.client.watching import Backoff, OnInterruption, follow
from tuning.v1 import orchestration_pb2 as orchestration_pb
from tuning.v1 import run_service_pb2 as run_rpc
from tuning.v1 import trial_pb2 as trial_pb


class Reading(Connection):
    """Follows orchestrations and reads their results."""

    def watch(
        self,
        orchestration_id: str,
        after_sequence: int | None = None,
        *,
        epoch: str | None = None,
        restart: bool = False,
        backoff: Backoff | None = None,
        on_interruption: OnInterruption | None = None,
    ) -> Iterator[WatchItem]:
        """Yields a snapshot, then every event in order, until the orchestration ends.

        With `after_sequence` there is no snapshot: events start behind that number, 0 gives all. The
        `epoch` that came with the number lets the store notice that it was restored since.
        Dropped streams are taken up again where they broke; `on_interruption` is told of each.

        With `restart`, a log that cannot be resumed (the database was restored, or its events were
        removed) is watched again from a new snapshot; what came before that is void.

        Raises:
            EpochChanged, CursorExpired, CursorAhead: the log cannot be resumed, and `restart` is not set.
        """
        return follow(
            self._runs.WatchOrchestration,
            self._store.decode,
            orchestration_id,
            after_sequence=after_sequence,
            epoch=epoch,
            restart=restart,
            backoff=backoff or Backoff(),
            on_interruption=on_interruption,
        )

    def status(self, orchestration_id: str) -> Orchestration:
        """Describes an orchestration with its stages and tuning runs."""
        request = run_rpc.GetOrchestrationRequest(orchestration_id=orchestration_id)
        answer = self._store.call(self._runs.GetOrchestration, request)
        return decoding.orchestration(answer.orchestration)

    def orchestrations(
        self, *, states: Iterable[State] = (), study_name: str = ""
    ) -> Iterator[Orchestration]:
        """Yields orchestrations without their stages, newest first."""
        numbers = [
            orchestration_pb.LifecycleState.Value(f"LIFECYCLE_STATE_{each.upper()}")
            for each in states
        ]

        def page(token: str) -> tuple[Iterable[Orchestration], str]:
            request = run_rpc.ListOrchestrationsRequest(
                states=numbers, study_name=study_name, page_size=PAGE_SIZE, page_token=token
            )
            answer = self._store.call(self._runs.ListOrchestrations, request)
            return map(decoding.orchestration, answer.orchestrations), answer.next_page_token

        return pages(page)

    def tuning_run(self, tuning_run_id: str) -> TuningRun:
        """Describes a tuning run."""
        request = run_rpc.GetTuningRunRequest(tuning_run_id=tuning_run_id)
        return decoding.tuning_run(self._store.call(self._runs.GetTuningRun, request).tuning_run)

    def best(self, orchestration_id: str, *, so_far: bool = False) -> BestModel:
        """Gives the best model and all models ranked.

        Raises:
            WrongState: the orchestration is not complete, and `so_far` was not asked for.
        """
        request = run_rpc.GetBestModelRequest(orchestration_id=orchestration_id, best_so_far=so_far)
        return decoding.best_model(self._store.call(self._runs.GetBestModel, request))

    def trials(
        self,
        orchestration_id: str,
        *,
        tuning_run_id: str = "",
        states: Iterable[State] = (),
        min_score: float | None = None,
        best_first: bool = False,
    ) -> Iterator[Trial]:
        """Yields trials, page by page as they are asked for."""
        numbers = [trial_pb.TrialState.Value(f"TRIAL_STATE_{each.upper()}") for each in states]
        order = run_rpc.TRIAL_ORDER_SCORE if best_first else run_rpc.TRIAL_ORDER_NUMBER

        def page(token: str) -> tuple[Iterable[Trial], str]:
            request = run_rpc.ListTrialsRequest(
                orchestration_id=orchestration_id,
                tuning_run_id=tuning_run_id,
                states=numbers,
                order_by=order,
                page_size=PAGE_SIZE,
                page_token=token,
                **optional_fields(min_score=min_score),
            )
            answer = self._store.call(self._runs.ListTrials, request)
            return map(decoding.trial, answer.trials), answer.next_page_token

        return pages(page)

    def history(self, orchestration_id: str) -> list[RunHistory]:
        """Gives each tuning run's best-so-far curve and statistics, in the order of the plan."""
        request = run_rpc.GetSearchHistoryRequest(orchestration_id=orchestration_id)
        answer = self._store.call(self._runs.GetSearchHistory, request)
        return [decoding.run_history(each) for each in answer.tuning_runs]

    def trial(self, orchestration_id: str, number: int) -> TracedTrial:
        """Describes one trial, with where its parameters came from and what that rests on."""
        request = run_rpc.GetTrialRequest(orchestration_id=orchestration_id, number=number)
        return decoding.traced_trial(self._store.call(self._runs.GetTrial, request))

    def compare_trials(
        self,
        orchestration_id: str,
        first: int,
        second: int,
        *,
        second_orchestration_id: str | None = None,
        metric: str | None = None,
    ) -> TrialComparison:
        """Compares two succeeded trials over the same splits by the paired corrected t-test.

        Args:
            second_orchestration_id: that of the second trial, when it is another one.
            metric: one that both were scored by; the first's objective by default.

        Raises:
            WrongState: a trial has not succeeded, or they were not scored on the same splits of the
                same data; the message says all that is in the way.
        """
        request = run_rpc.CompareTrialsRequest(
            orchestration_id=orchestration_id,
            first_number=first,
            second_number=second,
            second_orchestration_id=second_orchestration_id or "",
            metric=metric or "",
        )
        answer = self._store.call(self._runs.CompareTrials, request)
        return decoding.comparison(answer.comparison)

    def refinements(self, orchestration_id: str) -> list[Refinement]:
        """Lists the refinements in the order they were made."""
        request = run_rpc.ListRefinementsRequest(orchestration_id=orchestration_id)
        answer = self._store.call(self._runs.ListRefinements, request)
        return [decoding.refinement(each) for each in answer.refinements]
