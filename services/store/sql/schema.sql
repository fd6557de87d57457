-- The whole schema as all migrations make it: for reading, and compared with them by a test.
-- A change is a new file in `migrations/`; this file follows it.

CREATE SCHEMA crescendo;

-- Which migrations were applied.
CREATE TABLE crescendo.migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Everything Crescendo stores lives in the schema `crescendo`, so that it can share a database.

-- The one clock for leases and deadlines. Tests set `crescendo.now` to stop or move it.
-- STABLE although the clock runs on within a statement: a lease may be read a few milliseconds early,
-- and in exchange conditions on it can use indexes.
CREATE FUNCTION crescendo.now() RETURNS timestamptz
    LANGUAGE sql STABLE
    AS $$
        SELECT coalesce(
            nullif(current_setting('crescendo.now', true), '')::timestamptz,
            clock_timestamp()
        )
    $$;

-- Requests that may be repeated: the same id with the same body gives the same resource.
CREATE TABLE crescendo.requests (
    tenant      text        NOT NULL,
    rpc         text        NOT NULL,
    request_id  text        NOT NULL,
    body_hash   bytea       NOT NULL,
    resource_id text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT crescendo.now(),
    PRIMARY KEY (tenant, rpc, request_id)
);
CREATE INDEX requests_by_age ON crescendo.requests (created_at);

-- Dataset ids are UUIDs or `sklearn:NAME`, hence text.
CREATE TABLE crescendo.datasets (
    dataset_id     text        PRIMARY KEY,
    tenant         text        NOT NULL,
    name           text        NOT NULL,
    task           text        NOT NULL CHECK (task IN ('classification', 'regression')),
    target_column  text        NOT NULL,
    row_count      bigint      NOT NULL,
    column_names   text[]      NOT NULL,
    column_types   text[]      NOT NULL,
    missing_counts bigint[]    NOT NULL,
    class_labels   text[]      NOT NULL,
    class_counts   bigint[]    NOT NULL,
    content_hash   text        NOT NULL,
    size_bytes     bigint      NOT NULL,
    built_in       boolean     NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT crescendo.now(),
    -- Empty and 0 where no column has the role.
    group_column   text        NOT NULL DEFAULT '',
    time_column    text        NOT NULL DEFAULT '',
    weight_column  text        NOT NULL DEFAULT '',
    fold_column    text        NOT NULL DEFAULT '',
    positive_label text        NOT NULL DEFAULT '',
    group_count    bigint      NOT NULL DEFAULT 0,
    fold_count     bigint      NOT NULL DEFAULT 0,
    -- Places from 0, by time where there is a time column; empty where they are not known.
    class_first_rows bigint[]  NOT NULL DEFAULT '{}',
    class_last_rows  bigint[]  NOT NULL DEFAULT '{}'
);
CREATE INDEX datasets_listed ON crescendo.datasets (tenant, built_in DESC, created_at DESC, dataset_id);

CREATE TABLE crescendo.dataset_chunks (
    dataset_id  text    NOT NULL REFERENCES crescendo.datasets ON DELETE CASCADE,
    chunk_index integer NOT NULL,
    content     bytea   NOT NULL,
    PRIMARY KEY (dataset_id, chunk_index)
);
-- Arrow files are read whole and in order; compressing each piece would cost more than it saves.
ALTER TABLE crescendo.dataset_chunks ALTER COLUMN content SET STORAGE EXTERNAL;

-- Columns of type bytea whose name ends in `_proto` hold messages of tuning.v1.
CREATE TABLE crescendo.model_runs (
    model_run_id           uuid        PRIMARY KEY,
    tenant                 text        NOT NULL,
    experiment             text        NOT NULL,
    dataset_id             text        NOT NULL REFERENCES crescendo.datasets,
    model_type             text        NOT NULL,
    fixed_parameters_proto bytea       NOT NULL, -- Assignment
    steps_proto            bytea       NOT NULL, -- EvaluationSpec with only `steps`
    created_at             timestamptz NOT NULL DEFAULT crescendo.now()
);
CREATE INDEX model_runs_listed ON crescendo.model_runs (tenant, created_at DESC, model_run_id);
CREATE INDEX model_runs_by_dataset ON crescendo.model_runs (dataset_id);

-- The row every change of an orchestration locks first: it holds the log's last number, the counters
-- and the best trial.
CREATE TABLE crescendo.orchestrations (
    orchestration_id      uuid             PRIMARY KEY,
    tenant                text             NOT NULL,
    workflow              text             NOT NULL,
    study_name            text,
    spec_hash             bytea            NOT NULL,
    state                 text             NOT NULL CHECK (state IN
                              ('pending', 'running', 'paused', 'completed', 'failed', 'cancelled')),
    reason                text             NOT NULL DEFAULT '',
    message               text             NOT NULL DEFAULT '',
    scoring_metric        text             NOT NULL,
    cv_folds              integer          NOT NULL,
    random_state          bigint           NOT NULL,
    max_concurrent_trials integer          NOT NULL CHECK (max_concurrent_trials >= 0),
    priority              integer          NOT NULL DEFAULT 0,
    last_sequence         bigint           NOT NULL DEFAULT 0,
    next_trial_number     integer          NOT NULL DEFAULT 0,
    refinement_count      integer          NOT NULL DEFAULT 0,
    planned               bigint           NOT NULL DEFAULT 0,
    queued                bigint           NOT NULL DEFAULT 0 CHECK (queued >= 0),
    running               bigint           NOT NULL DEFAULT 0 CHECK (running >= 0),
    succeeded             bigint           NOT NULL DEFAULT 0,
    failed                bigint           NOT NULL DEFAULT 0,
    pruned                bigint           NOT NULL DEFAULT 0,
    cancelled             bigint           NOT NULL DEFAULT 0,
    best_number           integer,
    best_tuning_run_id    uuid,
    best_score            double precision,
    best_rank             bigint[],        -- what decides between equal scores, lowest first
    created_at            timestamptz      NOT NULL DEFAULT crescendo.now(),
    started_at            timestamptz,
    ended_at              timestamptz,
    worker_class          text             NOT NULL DEFAULT 'default',
    max_trials            bigint           CHECK (max_trials >= 1),
    max_failed_trials     bigint           CHECK (max_failed_trials >= 0),
    max_seconds           double precision CHECK (max_seconds > 0),
    max_cost              double precision CHECK (max_cost > 0),
    price_per_hour        double precision CHECK (price_per_hour > 0),
    trial_timeout_seconds double precision CHECK (trial_timeout_seconds > 0),
    -- Time RUNNING: before the present period, and when that began.
    active_seconds        double precision NOT NULL DEFAULT 0 CHECK (active_seconds >= 0),
    active_since          timestamptz,
    deadline_at           timestamptz,     -- only while it is RUNNING and has `max_seconds`
    cost                  double precision NOT NULL DEFAULT 0 CHECK (cost >= 0),
    -- A count, not a sum: sums of fractions do not come back to 0.
    reserved_attempts     bigint           NOT NULL DEFAULT 0 CHECK (reserved_attempts >= 0),
    workers_missing       boolean          NOT NULL DEFAULT false, -- and its log says so
    first_sequence        bigint           NOT NULL DEFAULT 1, -- kept; one more than the last when none is
    request_id            text             NOT NULL DEFAULT '', -- of the request it came from, for logs
    stopping_proto        bytea,           -- StoppingRules; never changes
    plateau_reference     double precision, -- the score of the last improvement
    flat_trials           bigint           NOT NULL DEFAULT 0 CHECK (flat_trials >= 0),
    selection_proto       bytea,           -- Selection; NULL for the best by score
    copied                bigint           NOT NULL DEFAULT 0 CHECK (copied >= 0), -- trials that repeat others
    -- Exact budgets, whatever the code above does.
    CONSTRAINT orchestrations_trials_within_budget CHECK (next_trial_number - copied <= max_trials),
    CONSTRAINT orchestrations_cost_within_budget
        CHECK (cost <= max_cost OR trial_timeout_seconds IS NULL)
) WITH (fillfactor = 50);
CREATE INDEX orchestrations_due
    ON crescendo.orchestrations (deadline_at) WHERE state = 'running' AND deadline_at IS NOT NULL;
CREATE INDEX orchestrations_running
    ON crescendo.orchestrations (worker_class) WHERE state = 'running';
CREATE UNIQUE INDEX orchestrations_by_study
    ON crescendo.orchestrations (tenant, study_name) WHERE study_name IS NOT NULL;
CREATE INDEX orchestrations_listed
    ON crescendo.orchestrations (tenant, created_at DESC, orchestration_id);
CREATE INDEX orchestrations_ended
    ON crescendo.orchestrations (ended_at, orchestration_id) WHERE ended_at IS NOT NULL;

CREATE TABLE crescendo.stages (
    orchestration_id       uuid             NOT NULL REFERENCES crescendo.orchestrations,
    stage_index            integer          NOT NULL,
    method                 text             NOT NULL,
    state                  text             NOT NULL CHECK (state IN
                               ('pending', 'running', 'paused', 'completed', 'failed', 'cancelled')),
    reason                 text             NOT NULL DEFAULT '',
    message                text             NOT NULL DEFAULT '',
    max_active_tuning_runs integer          NOT NULL CHECK (max_active_tuning_runs >= 0),
    refinement_factor      double precision,
    created_at             timestamptz      NOT NULL DEFAULT crescendo.now(),
    started_at             timestamptz,
    ended_at               timestamptz,
    plan_proto             bytea,           -- StagePlan without its tuning runs; never changes
    PRIMARY KEY (orchestration_id, stage_index)
);

CREATE TABLE crescendo.tuning_runs (
    tuning_run_id         uuid             PRIMARY KEY,
    orchestration_id      uuid             NOT NULL,
    stage_index           integer          NOT NULL,
    position              integer          NOT NULL, -- within the stage: the place of its model in the plan
    model_run_id          uuid             NOT NULL REFERENCES crescendo.model_runs,
    model_type            text             NOT NULL,
    method                text             NOT NULL,
    method_used           text             NOT NULL,
    worker_class          text             NOT NULL DEFAULT 'default',
    state                 text             NOT NULL CHECK (state IN
                              ('pending', 'running', 'paused', 'completed', 'failed', 'cancelled')),
    reason                text             NOT NULL DEFAULT '',
    message               text             NOT NULL DEFAULT '',
    space_proto           bytea            NOT NULL, -- SearchSpace
    original_space_proto  bytea            NOT NULL, -- SearchSpace
    evaluation_proto      bytea            NOT NULL, -- EvaluationSpec; never changes
    metrics               text[]           NOT NULL,
    cv_folds              integer          NOT NULL,
    random_state          bigint           NOT NULL,
    trial_budget          bigint,
    total_combinations    bigint,
    planned               bigint           NOT NULL CHECK (planned >= 0),
    created               bigint           NOT NULL DEFAULT 0, -- the next suggestion's index
    queued                bigint           NOT NULL DEFAULT 0 CHECK (queued >= 0),
    running               bigint           NOT NULL DEFAULT 0 CHECK (running >= 0),
    succeeded             bigint           NOT NULL DEFAULT 0,
    failed                bigint           NOT NULL DEFAULT 0,
    pruned                bigint           NOT NULL DEFAULT 0,
    cancelled             bigint           NOT NULL DEFAULT 0,
    best_number           integer,
    best_score            double precision,
    best_rank             bigint[],
    last_end_sequence     bigint           NOT NULL DEFAULT 0, -- of the last trial of it that ended
    measured_trials       bigint           NOT NULL DEFAULT 0,
    mean_duration         double precision, -- seconds, of the latest trials
    searcher_owner        text,
    searcher_epoch        bigint           NOT NULL DEFAULT 0,
    searcher_until        timestamptz,
    created_at            timestamptz      NOT NULL DEFAULT crescendo.now(),
    started_at            timestamptz,
    ended_at              timestamptz,
    stopping_proto        bytea,           -- StoppingRules; never changes
    plateau_reference     double precision, -- the score of the last improvement
    flat_trials           bigint           NOT NULL DEFAULT 0 CHECK (flat_trials >= 0),
    stop_reason           text             NOT NULL DEFAULT '', -- the rule of its own that was fulfilled
    pruning_proto         bytea,           -- Pruning; null where no trial is stopped early
    leader_scores         double precision[] NOT NULL DEFAULT '{}', -- of the best complete trials, best first
    leader_places         bigint[]         NOT NULL DEFAULT '{}', -- their candidate index and number, in turn
    fits_saved            bigint           NOT NULL DEFAULT 0 CHECK (fits_saved >= 0),
    start_proto           bytea,           -- StartPoints; NULL without any
    UNIQUE (orchestration_id, stage_index, position),
    FOREIGN KEY (orchestration_id, stage_index) REFERENCES crescendo.stages,
    -- Exact budgets, whatever the code above does.
    CHECK (created <= planned)
) WITH (fillfactor = 50);
CREATE INDEX tuning_runs_active
    ON crescendo.tuning_runs (tuning_run_id) WHERE state IN ('running', 'paused');
CREATE INDEX tuning_runs_by_model_run ON crescendo.tuning_runs (model_run_id);

-- Trials and events carry no foreign keys: they are written only under the lock of the rows they
-- belong to, and a check per row would cost as much as the row.
CREATE TABLE crescendo.trials (
    orchestration_id      uuid             NOT NULL,
    number                integer          NOT NULL,
    tuning_run_id         uuid             NOT NULL,
    stage_index           integer          NOT NULL,
    state                 text             NOT NULL DEFAULT 'queued' CHECK (state IN
                              ('queued', 'running', 'succeeded', 'failed', 'pruned', 'cancelled')),
    attempt               integer          NOT NULL DEFAULT 0, -- the fence
    parameters_proto      bytea            NOT NULL, -- Assignment
    candidate_index       bigint,
    phase                 text             NOT NULL,
    suggestion_index      integer          NOT NULL,
    suggested_at_sequence bigint           NOT NULL,
    score                 double precision,
    metrics_proto         bytea,           -- Trial with only its scores and `prune_decision`
    failure_kind          text,
    failure_message       text,
    finished_attempt      integer,         -- the attempt whose result ended the trial
    fit_seconds           double precision NOT NULL DEFAULT 0,
    score_seconds         double precision NOT NULL DEFAULT 0,
    duration_seconds      double precision NOT NULL DEFAULT 0,
    reported_splits       integer          NOT NULL DEFAULT 0, -- of this attempt
    lost_strikes          integer          NOT NULL DEFAULT 0,
    crash_strikes         integer          NOT NULL DEFAULT 0,
    oom_strikes           integer          NOT NULL DEFAULT 0,
    crash_worker          text             NOT NULL DEFAULT '',
    not_before            timestamptz,
    dispatched_at         timestamptz,
    session_id            uuid,
    claim_id              uuid,
    worker                text             NOT NULL DEFAULT '',
    missed_beats          integer          NOT NULL DEFAULT 0,
    stop_requested        boolean          NOT NULL DEFAULT false,
    queued_at             timestamptz      NOT NULL DEFAULT crescendo.now(),
    started_at            timestamptz,
    finished_at           timestamptz,
    infra_failures        integer          NOT NULL DEFAULT 0, -- trouble of workers: no strikes
    infra_since           timestamptz,     -- when the first of them was
    copied_from           integer,         -- the number of the trial whose result it has; NULL for those that run
    PRIMARY KEY (orchestration_id, number),
    UNIQUE (tuning_run_id, suggestion_index),
    -- NaN sorts above every number in Postgres: it must never get in.
    CHECK (score IS NULL OR (score > '-Infinity' AND score < 'Infinity')),
    CHECK ((score IS NOT NULL) = (state = 'succeeded'))
) WITH (fillfactor = 80);
CREATE INDEX trials_open
    ON crescendo.trials (tuning_run_id, number) WHERE state IN ('queued', 'running');
CREATE INDEX trials_sent
    ON crescendo.trials (tuning_run_id, dispatched_at) WHERE state = 'queued' AND dispatched_at IS NOT NULL;
CREATE INDEX trials_delayed
    ON crescendo.trials (tuning_run_id, not_before) WHERE state = 'queued' AND not_before IS NOT NULL;
CREATE INDEX trials_running ON crescendo.trials (session_id) WHERE state = 'running';
CREATE INDEX trials_to_stop ON crescendo.trials (session_id) WHERE stop_requested;
CREATE INDEX trials_failed ON crescendo.trials (tuning_run_id) WHERE state = 'failed';
CREATE INDEX trials_best_first
    ON crescendo.trials (
        orchestration_id, score DESC, stage_index,
        coalesce(candidate_index, 9223372036854775807), number
    ) WHERE score IS NOT NULL;

-- What trials came to after each step, where a rule compares them while they run, and what it decided.

CREATE TABLE crescendo.trial_steps (
    orchestration_id uuid             NOT NULL,
    tuning_run_id    uuid             NOT NULL,
    number           integer          NOT NULL,
    attempt          integer          NOT NULL,
    step             integer          NOT NULL CHECK (step >= 1), -- steps made, this one included
    value            double precision NOT NULL, -- of the step
    mean             double precision NOT NULL, -- of all its steps so far
    best             double precision NOT NULL, -- of them
    decision_proto   bytea,           -- PruneDecision; null where no rule looked
    stops            boolean          NOT NULL DEFAULT false, -- whether it ends the trial
    PRIMARY KEY (orchestration_id, number, attempt, step),
    -- NaN sorts above every number in Postgres: it must never get in.
    CHECK (value > '-Infinity' AND value < 'Infinity')
);
CREATE INDEX trial_steps_at
    ON crescendo.trial_steps (tuning_run_id, step, number, attempt) INCLUDE (value, mean, best);

-- What an attempt at a trial may cost and does cost; only of orchestrations with a price.
CREATE TABLE crescendo.attempt_costs (
    orchestration_id uuid             NOT NULL,
    number           integer          NOT NULL,
    attempt          integer          NOT NULL,
    started_at       timestamptz      NOT NULL,
    reserved         double precision NOT NULL, -- what it may cost at most; 0 without a wall limit
    charged          double precision NOT NULL DEFAULT 0 CHECK (charged >= 0),
    left_at          timestamptz,     -- when it left RUNNING without a finish
    expires_at       timestamptz,     -- no finish is waited for after this; null without a wall limit
    settled          boolean          NOT NULL DEFAULT false,
    PRIMARY KEY (orchestration_id, number, attempt),
    CHECK (charged <= reserved OR reserved = 0)
);
CREATE INDEX attempt_costs_left
    ON crescendo.attempt_costs (expires_at)
    WHERE NOT settled AND left_at IS NOT NULL AND expires_at IS NOT NULL;

CREATE TABLE crescendo.events (
    orchestration_id uuid        NOT NULL,
    sequence         bigint      NOT NULL,
    occurred_at      timestamptz NOT NULL,
    payload_proto    bytea       NOT NULL, -- Event with only its payload
    PRIMARY KEY (orchestration_id, sequence)
);

CREATE TABLE crescendo.refinements (
    orchestration_id uuid        NOT NULL REFERENCES crescendo.orchestrations,
    refinement_id    integer     NOT NULL,
    refinement_proto bytea       NOT NULL, -- Refinement
    created_at       timestamptz NOT NULL DEFAULT crescendo.now(),
    PRIMARY KEY (orchestration_id, refinement_id)
);

-- A worker's presence: the lease lives here, so that a beat writes one row.
CREATE TABLE crescendo.sessions (
    session_id    uuid        PRIMARY KEY,
    worker_class  text        NOT NULL,
    worker_name   text        NOT NULL,
    slots         integer     NOT NULL CHECK (slots > 0),
    free_slots    integer     NOT NULL,
    lease_until   timestamptz NOT NULL,
    listener_id   uuid,        -- the order stream that is open, if any
    registered_at timestamptz NOT NULL DEFAULT crescendo.now(),
    last_beat_at  timestamptz NOT NULL DEFAULT crescendo.now(),
    ended_at      timestamptz,
    end_cause     text        CHECK (end_cause IN ('closed', 'lost')),
    settled       boolean     NOT NULL DEFAULT false -- its trials were queued again
);
CREATE INDEX sessions_live ON crescendo.sessions (worker_class) WHERE ended_at IS NULL;
CREATE INDEX sessions_unsettled ON crescendo.sessions (session_id) WHERE NOT settled;
-- When the last worker of a class went.
CREATE INDEX sessions_ended ON crescendo.sessions (worker_class, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_settled ON crescendo.sessions (ended_at) WHERE settled;

-- One row: which history of this database the logs belong to. A restored or promoted server may have
-- lost commits that watchers saw; its numbers then mean other events, and the epoch says so.
CREATE TABLE crescendo.history (
    one               boolean     PRIMARY KEY DEFAULT true CHECK (one),
    epoch             uuid        NOT NULL DEFAULT gen_random_uuid(),
    began_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Where the epoch holds, as far as it is known; elsewhere another one begins.
    system_identifier text,
    timeline          bigint,
    database_oid      bigint,
    table_oid         bigint      -- of this table: a dump that is restored makes another one
);
INSERT INTO crescendo.history DEFAULT VALUES;
