-- The epoch of the logs, and how much of them is kept.

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

-- The oldest event that is kept; one more than the last when none is.
ALTER TABLE crescendo.orchestrations ADD COLUMN first_sequence bigint NOT NULL DEFAULT 1;

-- What retention looks through, oldest first.
CREATE INDEX orchestrations_ended
    ON crescendo.orchestrations (ended_at, orchestration_id) WHERE ended_at IS NOT NULL;
CREATE INDEX requests_by_age ON crescendo.requests (created_at);
CREATE INDEX sessions_settled ON crescendo.sessions (ended_at) WHERE settled;
