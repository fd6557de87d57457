"""The guards of the store: what each one is, how it is removed, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass

_SERVICE = "services/store/service"
_SQL = "services/store/sql/queries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One guard to remove.

    Attributes:
        guard: what it keeps from happening.
        file: where it stands.
        old: its text, which stands there exactly once.
        new: what stands there without it.
        tests: files or tests below tests/integration/store, at least one of which must fail.
    """

    guard: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS: tuple[Mutation, ...] = (
    # Claims.
    Mutation(
        guard="claim: attempt",
        file=f"{_SERVICE}/claims.py",
        old="if trial is None or trial.attempt != attempt:",
        new="if trial is None:",
        tests=("test_trials.py::test_a_claim_of_another_attempt_or_run_is_stale",),
    ),
    Mutation(
        guard="claim: only QUEUED",
        file=f"{_SERVICE}/claims.py",
        old="elif trial.state is TrialState.QUEUED:",
        new="elif not trial.state.is_terminal:",
        tests=("test_trials.py::test_a_claim_repeated_gives_the_same_trials",),
    ),
    Mutation(
        guard="claim: same claim id, same trials",
        file=f"{_SERVICE}/claims.py",
        old="            again.append(trial)\n",
        new="            stale.append(number)\n",
        tests=("test_trials.py::test_a_claim_repeated_gives_the_same_trials",),
    ),
    Mutation(
        guard="claim: another claim id, no trials",
        file=f"{_SERVICE}/claims.py",
        old="            and trial.claim_id == claim_id\n",
        new="",
        tests=("test_trials.py::test_a_claim_repeated_gives_the_same_trials",),
    ),
    Mutation(
        guard="claim: session not ended",
        file=f"{_SERVICE}/claims.py",
        old="    if session.ended:\n",
        new="    if not session:\n",
        tests=("test_trials.py::test_a_session_that_has_ended_claims_nothing",),
    ),
    Mutation(
        guard="claim: session kept from ending",
        file=f"{_SQL}/transaction.sql",
        old="FOR KEY SHARE;",
        new=";",
        tests=("test_locks.py::test_a_session_that_claims_can_beat_and_cannot_end",),
    ),
    Mutation(
        guard="session end waits for claims",
        file=f"{_SQL}/workforce.sql",
        old="SELECT session_id FROM crescendo.sessions WHERE session_id = $1 FOR UPDATE",
        new="SELECT session_id FROM crescendo.sessions WHERE session_id = $1",
        tests=("test_locks.py::test_a_session_that_claims_can_beat_and_cannot_end",),
    ),
    Mutation(
        guard="claim: max_concurrent_trials",
        file=f"{_SERVICE}/claims.py",
        old="    if orchestration.max_concurrent_trials:\n",
        new="    if not orchestration:\n",
        tests=("test_trials.py::test_no_more_trials_run_than_allowed",),
    ),
    Mutation(
        guard="claim: only while RUNNING",
        file=f"{_SERVICE}/claims.py",
        old="if {orchestration.state, run.state} != {LifecycleState.RUNNING} or orchestration.is_overdue:",
        new="if orchestration.is_overdue:",
        tests=("test_steering.py::test_a_claim_on_a_paused_orchestration_waits",),
    ),
    # Locks.
    Mutation(
        guard="row lock of the orchestration",
        file=f"{_SQL}/transaction.sql",
        old="FROM crescendo.orchestrations\nWHERE orchestration_id = $1\nFOR UPDATE;",
        new="FROM crescendo.orchestrations\nWHERE orchestration_id = $1;",
        tests=("test_locks.py::test_an_orchestration_is_locked_until_its_change_is_over",),
    ),
    Mutation(
        guard="row locks of named tuning runs",
        file=f"{_SQL}/transaction.sql",
        old="WHERE orchestration_id = $1 AND tuning_run_id = ANY ($2::uuid[])\nORDER BY tuning_run_id\nFOR UPDATE;",
        new="WHERE orchestration_id = $1 AND tuning_run_id = ANY ($2::uuid[])\nORDER BY tuning_run_id;",
        tests=("test_locks.py::test_tuning_runs_are_locked_until_their_change_is_over",),
    ),
    Mutation(
        guard="row locks of all tuning runs",
        file=f"{_SQL}/transaction.sql",
        old="WHERE orchestration_id = $1\nORDER BY tuning_run_id\nFOR UPDATE;",
        new="WHERE orchestration_id = $1\nORDER BY tuning_run_id;",
        tests=("test_locks.py::test_tuning_runs_are_locked_until_their_change_is_over",),
    ),
    Mutation(
        guard="row locks of trials",
        file=f"{_SQL}/transaction.sql",
        old="    WHERE orchestration_id = $1 AND number = wanted.number\n    FOR UPDATE\n",
        new="    WHERE orchestration_id = $1 AND number = wanted.number\n",
        tests=("test_locks.py::test_trials_are_locked_until_their_change_is_over",),
    ),
    Mutation(
        guard="row locks of open trials",
        file=f"{_SQL}/transaction.sql",
        old="AND state IN ('queued', 'running')\nORDER BY number\nFOR UPDATE;",
        new="AND state IN ('queued', 'running')\nORDER BY number;",
        tests=("test_locks.py::test_trials_are_locked_until_their_change_is_over",),
    ),
    # Results.
    Mutation(
        guard="finish: attempt",
        file=f"{_SERVICE}/results.py",
        old="current = attempt == trial.attempt and trial.state is TrialState.RUNNING",
        new="current = trial.state is TrialState.RUNNING",
        tests=("test_results.py::test_results_of_strangers_are_fenced",),
    ),
    Mutation(
        guard="finish: only RUNNING",
        file=f"{_SERVICE}/results.py",
        old="current = attempt == trial.attempt and trial.state is TrialState.RUNNING",
        new="current = attempt == trial.attempt",
        tests=("test_results.py::test_results_of_strangers_are_fenced",),
    ),
    Mutation(
        guard="finish: ended stays ended",
        file=f"{_SERVICE}/results.py",
        old="        if trial.state.is_terminal:\n            same",
        new="        if not trial:\n            same",
        tests=("test_results.py::test_a_result_counts_once",),
    ),
    Mutation(
        guard="finish: once in a batch",
        file=f"{_SERVICE}/results.py",
        old="        if trial.number in self._ended:\n",
        new="        if not trial:\n",
        tests=("test_results.py::test_a_result_counts_once",),
    ),
    Mutation(
        guard="finish: late means success",
        file=f"{_SERVICE}/results.py",
        old="late_success = 0 <= attempt < trial.attempt and end.state is TrialState.SUCCEEDED",
        new="late_success = 0 <= attempt < trial.attempt",
        tests=("test_results.py::test_a_late_success_of_an_old_attempt_is_taken_once",),
    ),
    Mutation(
        guard="finish: attempts that never were",
        file=f"{_SERVICE}/results.py",
        old="late_success = 0 <= attempt < trial.attempt and",
        new="late_success = attempt < trial.attempt and",
        tests=("test_results.py::test_attempts_that_never_were_count_for_nothing",),
    ),
    Mutation(
        guard="finish: the session that holds the attempt",
        file=f"{_SERVICE}/fencing.py",
        old="            if trial.session_id == session_id:\n",
        new="            if trial:\n",
        tests=("test_results.py::test_results_count_only_from_the_session_that_holds_the_trial",),
    ),
    Mutation(
        guard="finish: sessions that never were",
        file=f"{_SERVICE}/fencing.py",
        old="        if is_known:\n",
        new="        if trial:\n",
        tests=("test_results.py::test_an_ended_session_still_tells_of_what_runs_under_it",),
    ),
    Mutation(
        guard="report: the session that holds the attempt",
        file=f"{_SERVICE}/steps.py",
        old="            or trial.session_id != session_id\n",
        new="",
        tests=("test_results.py::test_results_count_only_from_the_session_that_holds_the_trial",),
    ),
    Mutation(
        guard="report: attempt",
        file=f"{_SERVICE}/steps.py",
        old="            or trial.attempt != step.trial.attempt\n",
        new="",
        tests=("test_results.py::test_folds_are_told_once_and_in_order",),
    ),
    Mutation(
        guard="report: each split once",
        file=f"{_SERVICE}/steps.py",
        old="if step.kind is not StepKind.FOLD or step.step <= self._splits[trial.number]:",
        new="if step.kind is not StepKind.FOLD:",
        tests=("test_results.py::test_folds_are_told_once_and_in_order",),
    ),
    Mutation(
        guard="report: each step judged once",
        file=f"{_SERVICE}/steps.py",
        old="is_due = step.step == last + 1 if",
        new="is_due = step.step >= last if",
        tests=("test_steps.py::test_a_step_is_judged_once_whatever_is_repeated",),
    ),
    Mutation(
        guard="report: no fold judged after a gap",
        file=f"{_SERVICE}/steps.py",
        old="is_due = step.step == last + 1 if",
        new="is_due = step.step > last if",
        tests=("test_steps.py::test_a_fold_after_a_gap_is_not_judged_until_the_gap_is_told",),
    ),
    Mutation(
        guard="finite scores: the store",
        file=f"{_SERVICE}/verdicts.py",
        old="    return score if math.isfinite(score) else None\n",
        new="    return score\n",
        tests=("test_result_scores.py::test_a_score_that_is_not_finite_fails_the_trial",),
    ),
    Mutation(
        guard="finite scores: the constraint",
        file="services/store/migrations/0001_initial.sql",
        old="    CHECK (score IS NULL OR (score > '-Infinity' AND score < 'Infinity')),\n",
        new="",
        tests=("test_schema.py::test_the_database_itself_refuses_a_score_that_is_not_finite",),
    ),
    Mutation(
        guard="strikes: lost trials end",
        file=f"{_SERVICE}/verdicts.py",
        old="    if trial.lost_strikes >= LOST_RETRIES:\n",
        new="    if trial.lost_strikes >= 10 * LOST_RETRIES:\n",
        tests=("test_retries.py::test_a_trial_lost_too_often_fails",),
    ),
    Mutation(
        guard="strikes: a second loss waits",
        file=f"{_SERVICE}/verdicts.py",
        old="    if trial.lost_strikes > 0:\n",
        new="    if trial.lost_strikes > 99:\n",
        tests=("test_retries.py::test_the_second_loss_waits_before_it_is_offered_again",),
    ),
    Mutation(
        guard="strikes: a crash is tried once more only",
        file=f"{_SERVICE}/verdicts.py",
        old="trial.crash_strikes < _CRASH_RETRIES",
        new="trial.crash_strikes < 9 * _CRASH_RETRIES",
        tests=("test_retries.py::test_a_crash_is_tried_once_more_and_is_poison_on_another_worker",),
    ),
    Mutation(
        guard="strikes: deaths on two workers are POISON",
        file=f"{_SERVICE}/results.py",
        old="return bool(trial.crash_strikes) and trial.crash_worker not in",
        new="return not trial and trial.crash_worker not in",
        tests=("test_retries.py::test_a_crash_is_tried_once_more_and_is_poison_on_another_worker",),
    ),
    Mutation(
        guard="strikes: a crash is tried on another worker",
        file=f"{_SERVICE}/claims.py",
        old="if each.crash_strikes and each.crash_worker == session.worker_name",
        new="if each.number < 0",
        tests=("test_retries.py::test_a_trial_that_crashed_goes_to_another_worker",),
    ),
    Mutation(
        guard="strikes: trouble of workers has an end",
        file=f"{_SERVICE}/verdicts.py",
        old="    if (now - since).total_seconds() >= TROUBLE_SECONDS:\n",
        new="    if since is None:\n",
        tests=("test_retries.py::test_trouble_of_workers_is_no_strike_and_lasts_an_hour",),
    ),
    # Sequences, requests, suggestions, epochs.
    Mutation(
        guard="contiguous sequence",
        file=f"{_SERVICE}/ledger.py",
        old="        first = record.last_sequence + 1\n",
        new="        first = record.last_sequence + 2\n",
        tests=("test_plans.py::test_all_tuning_runs_exist_from_the_start_and_the_first_runs",),
    ),
    Mutation(
        guard="request id: once",
        file=f"{_SERVICE}/plans.py",
        old="                check_same_request(earlier, key)\n                return earlier.resource_id\n",
        new="                check_same_request(earlier, key)\n",
        tests=("test_plans.py::test_the_same_request_gives_the_same_orchestration",),
    ),
    Mutation(
        guard="request id: same body",
        file=f"{_SERVICE}/plans.py",
        old="    if earlier.body_hash != key.body_hash:\n",
        new="    if not key:\n",
        tests=("test_plans.py::test_a_request_id_with_another_body_is_refused",),
    ),
    Mutation(
        guard="suggestion index: once",
        file=f"{_SERVICE}/creation.py",
        old="fresh = [each for each in trials if each.suggestion_index >= run.created]",
        new="fresh = list(trials)",
        tests=("test_trials.py::test_a_suggestion_is_stored_once",),
    ),
    Mutation(
        guard="suggestion index: no gap",
        file=f"{_SERVICE}/creation.py",
        old="if trials and trials[0].suggestion_index > run.created:",
        new="if trials and trials[0].suggestion_index < 0:",
        tests=("test_trials.py::test_suggestions_come_in_order",),
    ),
    Mutation(
        guard="copies: of the same model run",
        file=f"{_SERVICE}/copies.py",
        old="if result is None or result.model_run_id != run.model_run_id:",
        new="if result is None:",
        tests=("test_copies.py::test_only_results_of_the_same_model_run_are_copied",),
    ),
    Mutation(
        guard="epoch: creation",
        file=f"{_SERVICE}/creation.py",
        old="            check_epoch(run, epoch)\n",
        new="",
        tests=("test_steering.py::test_a_lease_that_ran_out_is_taken_with_a_new_epoch",),
    ),
    Mutation(
        guard="epoch: notices",
        file=f"{_SERVICE}/plans.py",
        old="            check_epoch(run, epoch)\n",
        new="",
        tests=("test_plans.py::test_a_fall_back_is_told_and_recorded",),
    ),
    Mutation(
        guard="epoch: closing",
        file=f"{_SERVICE}/closing.py",
        old="        check_epoch(run, closing.epoch)\n",
        new="        pass\n",
        tests=("test_plans.py::test_closing_under_an_old_epoch_is_refused",),
    ),
    Mutation(
        guard="epoch: rises when taken",
        file=f"{_SQL}/workforce.sql",
        old="SET searcher_owner = $1, searcher_epoch = searcher_epoch + 1,",
        new="SET searcher_owner = $1,",
        tests=("test_steering.py::test_searcher_leases_go_to_one_coordinator_at_a_time",),
    ),
    Mutation(
        guard="searcher lease: not before it ends",
        file=f"{_SQL}/workforce.sql",
        old="searcher_until IS NULL OR searcher_until < crescendo.now()\n",
        new="true\n",
        tests=("test_steering.py::test_searcher_leases_go_to_one_coordinator_at_a_time",),
    ),
    Mutation(
        guard="closing: as_of_sequence",
        file=f"{_SERVICE}/closing.py",
        old="    if run.last_end_sequence > closing.as_of_sequence:\n",
        new="    if not run:\n",
        tests=("test_plans.py::test_closing_with_an_outdated_decision_changes_nothing",),
    ),
    Mutation(
        guard="closing: no reason of the store's own",
        file=f"{_SERVICE}/closing.py",
        old="    if closing.reason in _OWN_REASONS:\n",
        new="    if not closing:\n",
        tests=("test_closing_reasons.py",),
    ),
    Mutation(
        guard="closing: BUDGET_SPENT only when it is",
        file=f"{_SERVICE}/closing.py",
        old="        and run.created < lifecycle.planned_of(run)\n",
        new="        and not run\n",
        tests=("test_closing_reasons.py",),
    ),
    Mutation(
        guard="extension: no run of a stage that has ended while others go on",
        file=f"{_SERVICE}/reopening.py",
        old="lifecycle.is_cut(run) and (is_open or search.state.is_terminal)",
        new="lifecycle.is_cut(run) and bool(stage and search)",
        tests=("test_closing_reasons.py",),
    ),
    Mutation(
        guard="closing: COMPLETED needs a success",
        file=f"{_SERVICE}/closing.py",
        old="closing.state is LifecycleState.COMPLETED and run.counts.succeeded == 0",
        new="closing.state is LifecycleState.COMPLETED and not run",
        tests=("test_plans.py::test_nothing_completes_without_a_success",),
    ),
    # Budgets.
    Mutation(
        guard="budget: a tuning run's trials",
        file=f"{_SERVICE}/creation.py",
        old="own = max(0, run.counts.total - run.created)",
        new="own = 1_000_000",
        tests=("test_trials.py::test_trials_are_numbered_over_the_orchestration",),
    ),
    Mutation(
        guard="budget: the search's trials",
        file=f"{_SERVICE}/creation.py",
        old="    return own if by_budget is None else min(own, by_budget)\n",
        new="    return own\n",
        tests=("test_budgets.py::test_six_workers_and_twenty_trials_run_exactly_twenty",),
    ),
    Mutation(
        guard="budget: cost reserved at the claim",
        file=f"{_SERVICE}/claims.py",
        old="    if (affordable := costs.room(ledger)) is not None:\n",
        new="    if (affordable := None) is not None:\n",
        tests=("test_costs.py::test_an_attempt_starts_when_its_longest_run_can_be_paid",),
    ),
    Mutation(
        guard="budget: an attempt is charged once",
        file=f"{_SQL}/transaction.sql",
        old="        AND NOT settled\n",
        new="",
        tests=("test_costs.py::test_an_attempt_is_charged_once_however_often_it_is_told",),
    ),
    Mutation(
        guard="budget: nothing starts after the deadline",
        file=f"{_SERVICE}/claims.py",
        old="{LifecycleState.RUNNING} or orchestration.is_overdue:",
        new="{LifecycleState.RUNNING}:",
        tests=("test_budgets.py::test_nothing_starts_between_the_deadline_and_the_end",),
    ),
    Mutation(
        guard="budget: failure n + 1 ends the search",
        file=f"{_SERVICE}/results.py",
        old="            if changed and reached(ledger.orchestration) is Limit.FAILURES:\n",
        new="            if changed and not ledger:\n",
        tests=("test_budgets.py::test_one_failure_more_than_allowed_ends_the_search_at_once",),
    ),
    Mutation(
        guard="extension: once by request id",
        file=f"{_SERVICE}/plans.py",
        old="            if not await _done_before(tx, tenant, key, orchestration_id):\n",
        new="            if await _done_before(tx, tenant, key, orchestration_id) in (True, False):\n",
        tests=("test_extension.py::test_the_same_extension_asked_for_again_adds_nothing",),
    ),
    Mutation(
        guard="extension: outdates decisions",
        file=f"{_SERVICE}/reopening.py",
        old="            ledger.update_run(run.tuning_run_id, last_end_sequence=sequence)\n",
        new="            assert sequence\n",
        tests=("test_extension.py::test_a_decision_from_before_does_not_undo_an_extension",),
    ),
    Mutation(
        guard="budget: the plan ends with its trials",
        file=f"{_SERVICE}/lifecycle.py",
        old="        if index + 1 in ledger.stages and not spent:\n",
        new="        if index + 1 in ledger.stages:\n",
        tests=("test_budgets.py::test_a_plan_ends_where_its_trials_do",),
    ),
    Mutation(
        guard="budget: one loss too many",
        file=f"{_SERVICE}/requeue.py",
        old="        if over:\n",
        new="        if not ledger:\n",
        tests=("test_budgets.py::test_lost_trials_count_as_failures_and_retried_ones_do_not",),
    ),
    Mutation(
        guard="budget: more losses in the same change",
        file=f"{_SERVICE}/requeue.py",
        old="                    # What still runs is cancelled below.\n                    break\n",
        new="                    pass\n",
        tests=(
            "test_budgets.py::test_trials_lost_together_end_the_search_with_the_first_beyond_the_limit",
        ),
    ),
    Mutation(
        guard="stopping: more trials in the same message",
        file=f"{_SERVICE}/results.py",
        old="        if self._is_over() or self.stops.include(trial):\n",
        new="        if self._is_over():\n",
        tests=("test_stopping.py",),
    ),
    Mutation(
        guard="pruning: decided again by the store",
        file=f"{_SERVICE}/prunes.py",
        old="    return decision if decision.stop else None\n",
        new="    return decision\n",
        tests=(
            "test_pruning.py::test_a_worker_that_always_prunes_wrongly_is_no_failure_of_the_trial",
        ),
    ),
    Mutation(
        guard="pruning: only what was decided here",
        file=f"{_SERVICE}/prunes.py",
        old="    decision = stop if guesses else",
        new="    decision = (stop or PruneDecision(stop=True, rule='', step=1, value=0)) if guesses else",
        tests=("test_steps.py::test_a_trial_nobody_stopped_is_tried_again",),
    ),
    Mutation(
        guard="budget: more failures in the same message",
        file=f"{_SERVICE}/results.py",
        old="        if self._is_over() or self.stops.include(trial):\n",
        new="        if self.stops.include(trial):\n",
        tests=(
            "test_budgets.py::test_failures_told_in_one_message_end_the_search_with_the_first_beyond_the_limit",
        ),
    ),
    Mutation(
        guard="deadline: no trials after it",
        file=f"{_SERVICE}/creation.py",
        old="    if record.is_overdue:\n",
        new="    if not record:\n",
        tests=("test_budgets.py::test_nothing_starts_between_the_deadline_and_the_end",),
    ),
    Mutation(
        guard="deadline: pauses do not count",
        file=f"{_SERVICE}/lifecycle.py",
        old="    stop_clock(ledger)\n    _switch(",
        new="    _switch(",
        tests=("test_budgets.py::test_a_search_ends_at_its_deadline_and_pauses_do_not_count",),
    ),
    Mutation(
        guard="cost: reservations are counted",
        file=f"{_SERVICE}/costs.py",
        old="        ledger.update(reserved_attempts=record.reserved_attempts + noted)\n",
        new="        ledger.update(reserved_attempts=record.reserved_attempts)\n",
        tests=("test_costs.py::test_an_attempt_starts_when_its_longest_run_can_be_paid",),
    ),
    Mutation(
        guard="cost: a lost attempt keeps its reservation",
        file=f"{_SERVICE}/costs.py",
        old="        if handed_back:\n",
        new="        if each.reserved > 0:\n",
        tests=(
            "test_costs.py::test_a_lost_attempt_keeps_its_reservation_until_nothing_can_come_of_it",
        ),
    ),
    # Stop orders.
    Mutation(
        guard="stop orders: cancelled trials",
        file=f"{_SERVICE}/lifecycle.py",
        old="stop_requested=each.state is TrialState.RUNNING,",
        new="stop_requested=False,",
        tests=("test_sessions.py::test_cancelling_reaches_a_listener",),
    ),
    Mutation(
        guard="stop orders: a beat's answer",
        file=f"{_SERVICE}/sessions.py",
        old="return held.state is None or held.state.is_terminal or held.current_attempt > held.attempt",
        new="return False",
        tests=("test_sessions.py::test_a_beat_is_told_what_to_stop",),
    ),
    # Sessions.
    Mutation(
        guard="lease: renewed by beats only while open",
        file=f"{_SQL}/workforce.sql",
        old="    free_slots = $2\nWHERE session_id = $1 AND ended_at IS NULL\n",
        new="    free_slots = $2, ended_at = NULL\nWHERE session_id = $1\n",
        tests=("test_sessions.py::test_a_closed_session_never_comes_back",),
    ),
    Mutation(
        guard="lease: a newer stream is not the old one's break",
        file=f"{_SQL}/workforce.sql",
        old="WHERE session_id = $1 AND listener_id = $2 AND ended_at IS NULL;",
        new="WHERE session_id = $1 AND $2::uuid IS NOT NULL AND ended_at IS NULL;",
        tests=(
            "test_sessions.py::test_a_broken_stream_shortens_the_lease_and_a_beat_takes_it_back",
        ),
    ),
    Mutation(
        guard="two-beat rule: two in a row",
        file=f"{_SERVICE}/sessions.py",
        old="_MISSED_BEATS = 2",
        new="_MISSED_BEATS = 1",
        tests=("test_sessions.py::test_what_two_beats_in_a_row_do_not_hold_is_queued_again",),
    ),
    Mutation(
        guard="two-beat rule: not for ever",
        file=f"{_SERVICE}/sessions.py",
        old="_MISSED_BEATS = 2",
        new="_MISSED_BEATS = 2_000",
        tests=("test_sessions.py::test_what_two_beats_in_a_row_do_not_hold_is_queued_again",),
    ),
    Mutation(
        guard="two-beat rule: seen again is forgotten",
        file=f"{_SERVICE}/sessions.py",
        old="                seen.append(each)\n",
        new="                pass\n",
        tests=("test_sessions.py::test_what_two_beats_in_a_row_do_not_hold_is_queued_again",),
    ),
    Mutation(
        guard="two-beat rule: claims under way",
        file=f"{_SERVICE}/sessions.py",
        old="                if not each.is_recent:\n",
        new="                if each:\n",
        tests=("test_sessions.py::test_beats_made_before_a_claim_do_not_take_its_trials_away",),
    ),
    Mutation(
        guard="requeue: only under its session",
        file=f"{_SERVICE}/requeue.py",
        old=" in attempts and each.session_id == session_id\n",
        new=" in attempts\n",
        tests=("test_retries.py::test_nobody_gives_back_what_another_worker_runs",),
    ),
    Mutation(
        guard="reaper: a lease of contact",
        file=f"{_SERVICE}/reaper.py",
        old="if since is None or self._last_contact - since < self._lease_seconds:",
        new="if since is None:",
        tests=("test_reaper.py::test_a_reaper_without_a_lease_of_contact_reaps_nobody",),
    ),
    Mutation(
        guard="reaper: contact after a stall",
        file=f"{_SERVICE}/reaper.py",
        old="if now - self._last_contact > self._longest_silence:",
        new="if now < 0:",
        tests=("test_reaper.py::test_an_answer_that_took_long_is_no_contact",),
    ),
    Mutation(
        guard="reaper: contact after a jump of the clock",
        file=f"{_SERVICE}/reaper.py",
        old="if abs(jump) > self._longest_silence:",
        new="if jump is None:",
        tests=("test_reaper.py::test_a_jump_of_the_database_clock_is_no_reason_to_reap",),
    ),
    Mutation(
        guard="reaper: one session does not stop others",
        file=f"{_SERVICE}/reaper.py",
        old="            except Exception as error:\n",
        new="            except ImportError as error:\n",
        tests=("test_reaper.py::test_a_session_that_cannot_be_settled_does_not_stop_others",),
    ),
    # The hand-out.
    Mutation(
        guard="hand-out: one at a time",
        file=f"{_SQL}/workforce.sql",
        old="SELECT pg_advisory_xact_lock($1);",
        new="SELECT $1::bigint;",
        tests=("test_locks.py::test_hand_outs_take_turns",),
    ),
    Mutation(
        guard="hand-out: not before its time",
        file=f"{_SQL}/workforce.sql",
        old="            AND (t.not_before IS NULL OR t.not_before <= crescendo.now())\n        ORDER BY t.number",
        new="        ORDER BY t.number",
        tests=("test_locks.py::test_nothing_is_picked_before_its_time_whoever_counted_it",),
    ),
    Mutation(
        guard="recall: attempt",
        file=f"{_SQL}/workforce.sql",
        old="AND t.dispatched_at IS NOT NULL AND t.attempt = batch.attempt",
        new="AND t.dispatched_at IS NOT NULL",
        tests=("test_hand_out.py::test_a_message_of_another_attempt_recalls_nothing",),
    ),
    # Locks of those who froze.
    Mutation(
        guard="stuck sessions: ended",
        file=f"{_SQL}/keeping.sql",
        old="WHERE pg_terminate_backend(pid);",
        new="WHERE pid > 0;",
        tests=(
            "test_stuck_sessions.py::test_a_store_that_stops_between_preparing_and_executing_frees_its_locks",
        ),
    ),
    Mutation(
        guard="stuck sessions: only those Postgres waits for",
        file=f"{_SQL}/keeping.sql",
        old=" AND wait_event IN ('ClientRead', 'ClientWrite')",
        new="",
        tests=("test_stuck_sessions.py::test_sessions_that_work_or_rest_are_left_alone",),
    ),
)
