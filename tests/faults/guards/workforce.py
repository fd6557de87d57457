"""Guards of workers and stores: sessions, the hand-out, locks of those who froze."""

from __future__ import annotations

from tests.faults.guards.mutation import SERVICE, SQL, Mutation

WORKFORCE: tuple[Mutation, ...] = (
    # Sessions.
    Mutation(
        guard="lease: renewed by beats only while open",
        file=f"{SQL}/workforce.sql",
        old="    free_slots = $2\nWHERE session_id = $1 AND ended_at IS NULL\n",
        new="    free_slots = $2, ended_at = NULL\nWHERE session_id = $1\n",
        tests=("test_sessions.py::test_a_closed_session_never_comes_back",),
    ),
    Mutation(
        guard="lease: a newer stream is not the old one's break",
        file=f"{SQL}/workforce.sql",
        old="WHERE session_id = $1 AND listener_id = $2 AND ended_at IS NULL;",
        new="WHERE session_id = $1 AND $2::uuid IS NOT NULL AND ended_at IS NULL;",
        tests=(
            "test_sessions.py::test_a_broken_stream_shortens_the_lease_and_a_beat_takes_it_back",
        ),
    ),
    Mutation(
        guard="two-beat rule: two in a row",
        file=f"{SERVICE}/sessions.py",
        old="_MISSED_BEATS = 2",
        new="_MISSED_BEATS = 1",
        tests=("test_sessions.py::test_what_two_beats_in_a_row_do_not_hold_is_queued_again",),
    ),
    Mutation(
        guard="two-beat rule: not for ever",
        file=f"{SERVICE}/sessions.py",
        old="_MISSED_BEATS = 2",
        new="_MISSED_BEATS = 2_000",
        tests=("test_sessions.py::test_what_two_beats_in_a_row_do_not_hold_is_queued_again",),
    ),
    Mutation(
        guard="two-beat rule: seen again is forgotten",
        file=f"{SERVICE}/sessions.py",
        old="                seen.append(each)\n",
        new="                pass\n",
        tests=("test_sessions.py::test_what_two_beats_in_a_row_do_not_hold_is_queued_again",),
    ),
    Mutation(
        guard="two-beat rule: claims under way",
        file=f"{SERVICE}/sessions.py",
        old="                if not each.is_recent:\n",
        new="                if each:\n",
        tests=("test_sessions.py::test_beats_made_before_a_claim_do_not_take_its_trials_away",),
    ),
    Mutation(
        guard="requeue: only under its session",
        file=f"{SERVICE}/requeue.py",
        old=" in attempts and each.session_id == session_id\n",
        new=" in attempts\n",
        tests=("test_retries.py::test_nobody_gives_back_what_another_worker_runs",),
    ),
    Mutation(
        guard="reaper: a lease of contact",
        file=f"{SERVICE}/reaper.py",
        old="if since is None or self._last_contact - since < self._lease_seconds:",
        new="if since is None:",
        tests=("test_reaper.py::test_a_reaper_without_a_lease_of_contact_reaps_nobody",),
    ),
    Mutation(
        guard="reaper: contact after a stall",
        file=f"{SERVICE}/reaper.py",
        old="if now - self._last_contact > self._longest_silence:",
        new="if now < 0:",
        tests=("test_reaper.py::test_an_answer_that_took_long_is_no_contact",),
    ),
    Mutation(
        guard="reaper: contact after a jump of the clock",
        file=f"{SERVICE}/reaper.py",
        old="if abs(jump) > self._longest_silence:",
        new="if jump is None:",
        tests=("test_reaper.py::test_a_jump_of_the_database_clock_is_no_reason_to_reap",),
    ),
    Mutation(
        guard="reaper: one session does not stop others",
        file=f"{SERVICE}/reaper.py",
        old="            except Exception as error:\n",
        new="            except ImportError as error:\n",
        tests=("test_reaper.py::test_a_session_that_cannot_be_settled_does_not_stop_others",),
    ),
    # The hand-out.
    Mutation(
        guard="hand-out: one at a time",
        file=f"{SQL}/workforce.sql",
        old="SELECT pg_advisory_xact_lock($1);",
        new="SELECT $1::bigint;",
        tests=("test_locks.py::test_hand_outs_take_turns",),
    ),
    Mutation(
        guard="hand-out: not before its time",
        file=f"{SQL}/workforce.sql",
        old="            AND (t.not_before IS NULL OR t.not_before <= crescendo.now())\n        ORDER BY t.number",
        new="        ORDER BY t.number",
        tests=("test_locks.py::test_nothing_is_picked_before_its_time_whoever_counted_it",),
    ),
    Mutation(
        guard="recall: attempt",
        file=f"{SQL}/workforce.sql",
        old="AND t.dispatched_at IS NOT NULL AND t.attempt = batch.attempt",
        new="AND t.dispatched_at IS NOT NULL",
        tests=("test_hand_out.py::test_a_message_of_another_attempt_recalls_nothing",),
    ),
    # Locks of those who froze.
    Mutation(
        guard="stuck sessions: ended",
        file=f"{SQL}/keeping.sql",
        old="WHERE pg_terminate_backend(pid);",
        new="WHERE pid > 0;",
        tests=(
            "test_stuck_sessions.py::test_a_store_that_stops_between_preparing_and_executing_frees_its_locks",
        ),
    ),
    Mutation(
        guard="stuck sessions: only those Postgres waits for",
        file=f"{SQL}/keeping.sql",
        old=" AND wait_event IN ('ClientRead', 'ClientWrite')",
        new="",
        tests=("test_stuck_sessions.py::test_sessions_that_work_or_rest_are_left_alone",),
    ),
)
