"""A record of every change a trial goes through, kept by the database itself.

What the services tell of themselves is one witness; a trigger on the trials' table is another.
"""

from __future__ import annotations

import asyncpg

from testbed.addresses import run_apart

_SCRIPT = """
CREATE SCHEMA faults;
CREATE TABLE faults.transitions (
    id               bigserial PRIMARY KEY,
    orchestration_id uuid NOT NULL,
    number           integer NOT NULL,
    old_state        text,
    old_attempt      integer,
    new_state        text NOT NULL,
    new_attempt      integer NOT NULL,
    finished_attempt integer,
    session_id       uuid,
    at               timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION faults.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO faults.transitions
        (orchestration_id, number, old_state, old_attempt, new_state, new_attempt,
         finished_attempt, session_id)
    VALUES
        (NEW.orchestration_id, NEW.number,
         CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END,
         CASE WHEN TG_OP = 'UPDATE' THEN OLD.attempt END,
         NEW.state, NEW.attempt, NEW.finished_attempt, NEW.session_id);
    RETURN NULL;
END $$;
CREATE TRIGGER faults_created AFTER INSERT ON crescendo.trials
    FOR EACH ROW EXECUTE FUNCTION faults.note();
CREATE TRIGGER faults_changed AFTER UPDATE ON crescendo.trials
    FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.attempt IS DISTINCT FROM NEW.attempt)
    EXECUTE FUNCTION faults.note();
"""


def install_audit(dsn: str) -> None:
    """Begins the record; the store has made its tables already."""
    run_apart(_install(dsn))


async def _install(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(_SCRIPT)
    finally:
        await connection.close()
