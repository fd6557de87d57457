-- Budgets: limits of an orchestration, what it has used of them, and what each attempt at a trial costs.

ALTER TABLE crescendo.orchestrations
    ADD COLUMN worker_class          text             NOT NULL DEFAULT 'default',
    ADD COLUMN max_trials            bigint           CHECK (max_trials >= 1),
    ADD COLUMN max_failed_trials     bigint           CHECK (max_failed_trials >= 0),
    ADD COLUMN max_seconds           double precision CHECK (max_seconds > 0),
    ADD COLUMN max_cost              double precision CHECK (max_cost > 0),
    ADD COLUMN price_per_hour        double precision CHECK (price_per_hour > 0),
    ADD COLUMN trial_timeout_seconds double precision CHECK (trial_timeout_seconds > 0),
    -- Time RUNNING: before the present period, and when that began.
    ADD COLUMN active_seconds        double precision NOT NULL DEFAULT 0 CHECK (active_seconds >= 0),
    ADD COLUMN active_since          timestamptz,
    ADD COLUMN deadline_at           timestamptz,     -- only while it is RUNNING and has `max_seconds`
    ADD COLUMN cost                  double precision NOT NULL DEFAULT 0 CHECK (cost >= 0),
    -- A count, not a sum: sums of fractions do not come back to 0.
    ADD COLUMN reserved_attempts     bigint           NOT NULL DEFAULT 0 CHECK (reserved_attempts >= 0),
    ADD COLUMN workers_missing       boolean          NOT NULL DEFAULT false, -- and its log says so
    -- Exact budgets, whatever the code above does.
    ADD CONSTRAINT orchestrations_trials_within_budget CHECK (next_trial_number <= max_trials),
    ADD CONSTRAINT orchestrations_cost_within_budget
        CHECK (cost <= max_cost OR trial_timeout_seconds IS NULL);

UPDATE crescendo.orchestrations SET active_since = started_at WHERE state = 'running';
-- Pauses of searches that ended before they were measured count as time they ran.
UPDATE crescendo.orchestrations
SET active_seconds = greatest(0, extract(epoch FROM ended_at - started_at))
WHERE started_at IS NOT NULL AND ended_at IS NOT NULL;

CREATE INDEX orchestrations_due
    ON crescendo.orchestrations (deadline_at) WHERE state = 'running' AND deadline_at IS NOT NULL;
CREATE INDEX orchestrations_running
    ON crescendo.orchestrations (worker_class) WHERE state = 'running';

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

-- When the last worker of a class went.
CREATE INDEX sessions_ended ON crescendo.sessions (worker_class, ended_at) WHERE ended_at IS NOT NULL;
