-- Which request an orchestration came from: named in the messages to workers, and so in their logs.

ALTER TABLE crescendo.orchestrations ADD COLUMN request_id text NOT NULL DEFAULT '';
