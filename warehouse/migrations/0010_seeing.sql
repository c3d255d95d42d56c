-- How the collectors do, as rows: which servers are reachable, what reads as uncertain, what was turned away.

CREATE TABLE raw.servers (
    server text PRIMARY KEY,
    url text NOT NULL,
    worker text NOT NULL,
    connected_since timestamptz,
    unreachable_since timestamptz,
    reason text,
    clock_skew_s double precision,
    confirmed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((connected_since IS NULL) <> (unreachable_since IS NULL))
);
COMMENT ON TABLE raw.servers IS 'One row per OPC UA server: whether its collector reaches it, since when, and how wrong its clock is.';
COMMENT ON COLUMN raw.servers.worker IS 'host and process id of the collector that wrote the row';
COMMENT ON COLUMN raw.servers.unreachable_since IS 'when the server was heard last; NULL while it is connected';
COMMENT ON COLUMN raw.servers.clock_skew_s IS 'server''s clock minus the collector''s, in seconds; positive: the server is ahead';
COMMENT ON COLUMN raw.servers.confirmed_at IS 'renewed every five seconds; the row of a collector that was killed grows old';
GRANT INSERT, UPDATE ON raw.servers TO millwright_ingest;

-- A collector that says nothing for half a minute reaches no server as far as anyone can know.
CREATE VIEW serving.server_state AS
SELECT
    s.server,
    CASE
        WHEN s.confirmed_at < clock_timestamp() - interval '30 seconds' THEN 'not collected'
        WHEN s.unreachable_since IS NOT NULL THEN 'unreachable'
        ELSE 'connected'
    END AS state,
    CASE
        WHEN s.confirmed_at < clock_timestamp() - interval '30 seconds' THEN coalesce(s.unreachable_since, s.confirmed_at)
        ELSE coalesce(s.unreachable_since, s.connected_since)
    END AS since,
    s.reason,
    s.clock_skew_s,
    s.worker,
    s.confirmed_at
FROM raw.servers AS s;
COMMENT ON VIEW serving.server_state IS
'One row per OPC UA server that has been collected: connected, unreachable, or not collected (its worker is gone), and since when.';

CREATE VIEW raw.tag_current AS
SELECT
    l.tag_id,
    l.source_ts,
    l.server_ts,
    l.value,
    l.value_text,
    -- Uncertain, no communication, last usable value: what OPC UA calls a value whose source can't be asked.
    CASE WHEN q.usable AND s.state <> 'connected' THEN 1083113472 ELSE l.status END AS status,
    CASE
        WHEN q.usable AND s.state <> 'connected' THEN 'uncertain'
        WHEN q.usable THEN 'good'
        WHEN l.status >> 30 = 1 AND q.finite THEN 'uncertain'
        ELSE 'bad'
    END AS quality,
    q.usable,
    CASE WHEN s.state <> 'connected' THEN s.since END AS unreachable_since,
    l.landed_at
FROM raw.tag_latest AS l
INNER JOIN raw.tags AS t ON l.tag_id = t.tag_id
LEFT JOIN serving.server_state AS s ON t.server = s.server
-- NaN sorts above infinity.
CROSS JOIN LATERAL (SELECT coalesce(l.value > '-Infinity' AND l.value < 'Infinity', true) AS finite) AS f
CROSS JOIN LATERAL (SELECT f.finite, f.finite AND l.status >> 30 = 0 AS usable) AS q;
COMMENT ON VIEW raw.tag_current IS
'One row per tag: its newest reading with the quality that it has now; uncertain while its server can''t be reached.';
COMMENT ON COLUMN raw.tag_current.usable IS 'the value was good when it was read; it may still be shown while its quality is uncertain';

CREATE OR REPLACE VIEW serving.equipment_state AS
WITH latest AS (
    SELECT
        t.equipment_id,
        t.measurement,
        t.role,
        l.value,
        l.source_ts,
        l.quality,
        l.unreachable_since,
        -- A state as the server sends it, in the words of plant.yml.
        coalesce(t.states ->> coalesce(l.value_text, l.value::text), lower(coalesce(l.value_text, l.value::text))) AS state,
        l.usable AS is_good
    FROM raw.tags AS t
    INNER JOIN raw.tag_current AS l ON t.tag_id = l.tag_id
    WHERE t.valid_to IS NULL
)

SELECT
    e.equipment_id,
    e.name AS equipment_name,
    e.area,
    e.equipment_type,
    max(l.state) FILTER (WHERE l.role = 'state') AS run_state,
    avg(l.value) FILTER (WHERE l.measurement = 'temperature' AND l.role = 'measurement' AND l.is_good) AS temperature,
    max(l.value) FILTER (WHERE l.measurement = 'vibration' AND l.role = 'measurement' AND l.is_good) AS vibration,
    avg(l.value) FILTER (WHERE l.measurement = 'pressure' AND l.role = 'measurement' AND l.is_good) AS pressure,
    avg(l.value) FILTER (WHERE l.measurement = 'throughput' AND l.role = 'measurement' AND l.is_good) AS throughput,
    avg(l.value) FILTER (WHERE l.measurement = 'power' AND l.role = 'measurement' AND l.is_good) AS power,
    avg(l.value) FILTER (WHERE l.measurement = 'speed' AND l.role = 'measurement' AND l.is_good) AS speed,
    avg(l.value) FILTER (WHERE l.measurement = 'current' AND l.role = 'measurement' AND l.is_good) AS "current",
    avg(l.value) FILTER (WHERE l.measurement = 'voltage' AND l.role = 'measurement' AND l.is_good) AS voltage,
    count(*) FILTER (WHERE l.quality <> 'good') AS bad_tags,
    max(l.source_ts) AS last_value_at,
    extract(EPOCH FROM clock_timestamp() - max(l.source_ts))::double precision AS data_age_s,
    count(*) FILTER (WHERE l.quality = 'uncertain') AS uncertain_tags,
    min(l.unreachable_since) AS unreachable_since
FROM raw.equipment AS e
LEFT JOIN latest AS l ON e.equipment_id = l.equipment_id
WHERE e.retired_at IS NULL
GROUP BY e.equipment_id;
COMMENT ON COLUMN serving.equipment_state.bad_tags IS 'tags whose quality isn''t good, the uncertain ones among them';
COMMENT ON COLUMN serving.equipment_state.uncertain_tags IS
'tags that read as uncertain: their server can''t be reached (the values shown are the last usable ones) or says so itself';
COMMENT ON COLUMN serving.equipment_state.unreachable_since IS 'since when a server of this machine can''t be reached; NULL while all are connected';

CREATE OR REPLACE VIEW serving.hmi_dashboard AS
SELECT
    s.equipment_id,
    s.equipment_name,
    s.area,
    s.equipment_type,
    s.run_state,
    s.temperature,
    s.vibration,
    s.pressure,
    s.throughput,
    s.power,
    s.speed,
    s."current",
    s.voltage,
    s.bad_tags,
    s.last_value_at,
    s.data_age_s,
    score.anomaly_score,
    score.window_end AS scored_at,
    coalesce(alerts.open_alerts, 0) AS open_alerts,
    alerts.worst_alert,
    pending.recommendation_id,
    pending.timestamp AS recommendation_timestamp,
    pending.anomaly_score AS recommendation_score,
    pending.severity,
    pending.action_code,
    pending.recommendation_text,
    pending.confidence,
    pending.estimated_ttf,
    coalesce(alerts.shelved_alerts, 0) AS shelved_alerts,
    s.uncertain_tags,
    s.unreachable_since
FROM serving.equipment_state AS s
LEFT JOIN LATERAL (
    SELECT sc.anomaly_score, sc.window_end FROM ml.scores AS sc
    WHERE sc.equipment_id = s.equipment_id AND sc.role = 'champion' AND sc.superseded_at IS NULL
    ORDER BY sc.window_end DESC LIMIT 1
) AS score ON true
LEFT JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE NOT a.is_shelved) AS open_alerts,
        count(*) FILTER (WHERE a.is_shelved) AS shelved_alerts,
        (array_agg(a.severity ORDER BY array_position(ARRAY['emergency', 'critical', 'warning'], a.severity))
            FILTER (WHERE NOT a.is_shelved))[1] AS worst_alert
    FROM (
        SELECT c.severity, c.state = 'shelved' AND c.shelved_until > clock_timestamp() AS is_shelved
        FROM serving.critical_alerts AS c WHERE c.equipment_id = s.equipment_id AND c.state <> 'cleared'
    ) AS a
) AS alerts ON true
LEFT JOIN LATERAL (
    SELECT r.* FROM serving.recommendations_serving AS r
    WHERE r.equipment_id = s.equipment_id AND r.status = 'pending' ORDER BY r.anomaly_score DESC LIMIT 1
) AS pending ON true;
COMMENT ON COLUMN serving.hmi_dashboard.uncertain_tags IS 'show the values greyed while this isn''t 0';
COMMENT ON COLUMN serving.hmi_dashboard.unreachable_since IS 'since when a server of this machine can''t be reached; NULL while all are connected';

-- A rejected reading, with what `python -m ingest rejected retry` needs to land it.
ALTER TABLE raw.rejected_events
ADD COLUMN kind text CHECK (kind IN ('null', 'number', 'text', 'unsupported')),
ADD COLUMN server_ts timestamptz,
ADD COLUMN received_at timestamptz,
ADD COLUMN landed_at timestamptz;
COMMENT ON COLUMN raw.rejected_events.kind IS 'what the payload is; an unsupported one can''t be landed from its text';
COMMENT ON COLUMN raw.rejected_events.received_at IS 'when the collector had it: what its timestamps are judged against';
COMMENT ON COLUMN raw.rejected_events.landed_at IS 'when a retry landed it after all';

-- A spool that is read again turns the same readings away again; they are one row.
DELETE FROM raw.rejected_events AS r
USING (
    SELECT
        x.rejected_id,
        row_number() OVER (
            PARTITION BY x.server, x.tag_id, x.source_ts, x.status, x.origin, x.reason, x.payload ORDER BY x.rejected_id
        ) AS place
    FROM raw.rejected_events AS x
) AS d
WHERE r.rejected_id = d.rejected_id AND d.place > 1;
CREATE UNIQUE INDEX rejected_events_once ON raw.rejected_events
(server, tag_id, source_ts, status, origin, md5(reason || chr(31) || coalesce(payload, ''))) NULLS NOT DISTINCT;
GRANT UPDATE (landed_at) ON raw.rejected_events TO millwright_ingest;
