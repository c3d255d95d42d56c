-- Which cause a recommendation has, why it was made, and what the alarm budget holds back.
ALTER TABLE ml.recommendations ADD COLUMN cause text, ADD COLUMN shown_as text;
COMMENT ON COLUMN ml.recommendations.cause IS
'action code and the measurement that was farthest out, with a slash between; one recommendation a machine and cause is open at a time';
COMMENT ON COLUMN ml.recommendations.shown_as IS
'the recommendation under which operators see it: its own, or the open one that it made worse; NULL where it is held back';
UPDATE ml.recommendations SET shown_as = recommendation_id WHERE held_reason IS NULL;
CREATE INDEX recommendations_shown_as ON ml.recommendations (shown_as, "timestamp") WHERE shown_as IS NOT NULL;
CREATE INDEX recommendations_over_budget ON ml.recommendations ("timestamp") WHERE held_reason LIKE 'alarm budget:%';

CREATE TABLE ml.explanations (
    recommendation_id text NOT NULL REFERENCES ml.recommendations ON DELETE CASCADE,
    rank smallint NOT NULL CHECK (rank >= 1),
    channel text NOT NULL CHECK (channel IN ('classifier', 'isolation', 't2', 'q', 'largest', 'ahead')),
    feature text NOT NULL,
    measurement text NOT NULL,
    window_minutes smallint NOT NULL,
    value double precision,
    unit text NOT NULL,
    normal_low double precision,
    normal_high double precision,
    direction text NOT NULL CHECK (direction IN ('above', 'below', 'within', 'missing')),
    contribution double precision NOT NULL,
    base_value double precision NOT NULL,
    output_value double precision NOT NULL,
    model_version text NOT NULL,
    data_gaps text,
    explained_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (recommendation_id, rank),
    UNIQUE (recommendation_id, channel, feature)
);
COMMENT ON TABLE ml.explanations IS
'One row per recommendation, channel of the model and feature: what it added. Per channel base_value and contributions add up to output_value.';
COMMENT ON COLUMN ml.explanations.rank IS '1 is what spoke most for the recommendation, over all channels';
COMMENT ON COLUMN ml.explanations.channel IS
'classifier: probability of the action; isolation: mean depth; ahead: share for a failure in 24 h (all SHAP); t2, q, largest: decomposed';
COMMENT ON COLUMN ml.explanations.value IS 'mean over the window, in unit; in σ of the machine''s normal where it has no baseline in engineering units';
COMMENT ON COLUMN ml.explanations.normal_low IS 'two spreads below the machine''s mean at this load, of the baseline of the day before';
COMMENT ON COLUMN ml.explanations.normal_high IS 'two spreads above it; of flat minutes, what is no news yet';
COMMENT ON COLUMN ml.explanations.data_gaps IS 'readings that are missing in the last hour of the window, in words; NULL where none are';
GRANT INSERT ON ml.explanations TO millwright_score;

CREATE VIEW serving.recommendation_reasons AS
WITH explained AS (
    SELECT
        r.recommendation_id,
        r.equipment_id,
        r.timestamp,
        latest.recommendation_id AS explained_id
    FROM serving.recommendations_serving AS r
    CROSS JOIN LATERAL (
        SELECT c.recommendation_id FROM ml.recommendations AS c
        WHERE c.shown_as = r.recommendation_id
            AND EXISTS (SELECT FROM ml.explanations AS x WHERE x.recommendation_id = c.recommendation_id)
        ORDER BY c.timestamp DESC LIMIT 1
    ) AS latest
),

-- Of a measurement's windows the one that spoke most: five different reasons, not one five times.
distinct_reasons AS (
    SELECT DISTINCT ON (explained.recommendation_id, x.measurement, x.feature LIKE '%flat_minutes')
        explained.recommendation_id,
        explained.equipment_id,
        explained.timestamp,
        x.*
    FROM explained
    INNER JOIN LATERAL (
        SELECT
            e.rank AS overall_rank, e.channel, e.feature, e.measurement, e.window_minutes, e.value, e.unit, e.normal_low,
            e.normal_high, e.direction, e.contribution, e.base_value, e.output_value, e.model_version, e.data_gaps
        FROM ml.explanations AS e WHERE e.recommendation_id = explained.explained_id
    ) AS x ON true
    ORDER BY explained.recommendation_id, x.measurement, x.feature LIKE '%flat_minutes', x.overall_rank
),

ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY recommendation_id ORDER BY overall_rank) AS rank
    FROM distinct_reasons
)

SELECT
    recommendation_id,
    equipment_id,
    timestamp,
    rank,
    measurement,
    feature,
    window_minutes,
    value,
    unit,
    normal_low,
    normal_high,
    direction,
    contribution,
    channel,
    base_value,
    output_value,
    data_gaps,
    model_version
FROM ranked
WHERE rank <= 5;
COMMENT ON VIEW serving.recommendation_reasons IS
'One row per recommendation and reason, at most five, the strongest first: answers `ask_ai_why`. Reasons follow within a minute.';

CREATE VIEW serving.recommendations_held AS
SELECT DISTINCT ON (r.equipment_id, r.cause)
    e.plant_id,
    e.area,
    r.equipment_id,
    r.timestamp,
    r.anomaly_score,
    r.severity,
    r.action_code,
    r.recommendation_text,
    r.confidence,
    r.estimated_ttf,
    r.held_reason
FROM ml.recommendations AS r
INNER JOIN raw.equipment AS e ON r.equipment_id = e.equipment_id
WHERE r.held_reason LIKE 'alarm budget:%' AND r.timestamp > clock_timestamp() - interval '10 minutes'
    AND NOT EXISTS (
        SELECT FROM ml.recommendations AS s
        WHERE s.equipment_id = r.equipment_id AND s.cause = r.cause AND s.timestamp > r.timestamp AND s.shown_as IS NOT NULL
    )
ORDER BY r.equipment_id, r.cause, r.timestamp DESC;
COMMENT ON VIEW serving.recommendations_held IS
'One row per machine and cause that the alarm budget holds back now; held_reason has its rank.';
