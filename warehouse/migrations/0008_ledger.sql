-- The loss ledger: events of loss, and what became of each gap.

CREATE TABLE raw.losses (
    loss_id uuid PRIMARY KEY,
    server text NOT NULL,
    cause text NOT NULL,
    detail text,
    noted_at timestamptz NOT NULL,
    heard_at timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE raw.losses IS
'One row per event after which values of a server may be missing; its gaps, tag by tag, are in raw.sensor_gaps.';
COMMENT ON COLUMN raw.losses.loss_id IS 'given where the loss was noted, so that a spool that is read again records it once';
COMMENT ON COLUMN raw.losses.heard_at IS 'when the server was last heard before, by its own clock; NULL where only the tags'' last values tell';

ALTER TABLE raw.sensor_gaps
    ADD COLUMN loss_id uuid REFERENCES raw.losses,
    ADD COLUMN noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN repair text,
    ADD COLUMN attempts smallint NOT NULL DEFAULT 0,
    ADD COLUMN tried_at timestamptz;
COMMENT ON COLUMN raw.sensor_gaps.noted_at IS 'when the loss was noticed; values received before that can''t end the gap';
COMMENT ON COLUMN raw.sensor_gaps.repaired IS 'nothing is missing here any more, or never was: see repair';
COMMENT ON COLUMN raw.sensor_gaps.repair IS
'repaired by: unchanged (the tag had no new value), resumed (the subscription outlived the connection), history, backfill, late. '
'Not repaired: NULL while it may still be, ''none: …'' with the reason once it is permanent.';
COMMENT ON COLUMN raw.sensor_gaps.attempts IS 'how often the server''s history was asked without filling the gap';

-- What is to be repaired, and what a late value may fall into.
CREATE INDEX sensor_gaps_unrepaired ON raw.sensor_gaps (tag_id, from_ts) WHERE NOT repaired;

GRANT SELECT, INSERT ON raw.losses TO millwright_ingest;
