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
    created_at     timestamptz NOT NULL DEFAULT crescendo.now()
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
    ended_at              timestamptz
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX orchestrations_by_study
    ON crescendo.orchestrations (tenant, study_name) WHERE study_name IS NOT NULL;
CREATE INDEX orchestrations_listed
    ON crescendo.orchestrations (tenant, created_at DESC, orchestration_id);

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
    UNIQUE (orchestration_id, stage_index, position),
    FOREIGN KEY (orchestration_id, stage_index) REFERENCES crescendo.stages,
    -- Exact budgets, whatever the code above does.
    CHECK (created <= planned)
) WITH (fillfactor = 50);
CREATE INDEX tuning_runs_running ON crescendo.tuning_runs (tuning_run_id) WHERE state = 'running';
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
    metrics_proto         bytea,           -- Trial with only `metrics`
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
    PRIMARY KEY (orchestration_id, number),
    UNIQUE (tuning_run_id, suggestion_index),
    -- NaN sorts above every number in Postgres: it must never get in.
    CHECK (score IS NULL OR (score > '-Infinity' AND score < 'Infinity')),
    CHECK ((score IS NOT NULL) = (state = 'succeeded'))
) WITH (fillfactor = 80);
CREATE INDEX trials_open
    ON crescendo.trials (tuning_run_id, number) WHERE state IN ('queued', 'running');
CREATE INDEX trials_dispatched
    ON crescendo.trials (dispatched_at) WHERE state = 'queued' AND dispatched_at IS NOT NULL;
CREATE INDEX trials_running ON crescendo.trials (session_id) WHERE state = 'running';
CREATE INDEX trials_to_stop ON crescendo.trials (session_id) WHERE stop_requested;
CREATE INDEX trials_failed ON crescendo.trials (tuning_run_id) WHERE state = 'failed';
CREATE INDEX trials_best_first
    ON crescendo.trials (
        orchestration_id, score DESC, stage_index,
        coalesce(candidate_index, 9223372036854775807), number
    ) WHERE score IS NOT NULL;

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
