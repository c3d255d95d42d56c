-- Schemas, who owns them, and who may do what by default. Roles exist before this runs (warehouse/roles.py).
CREATE SCHEMA raw;
CREATE SCHEMA ml;
CREATE SCHEMA serving;
CREATE SCHEMA ops;

-- dbt creates and drops in these three, so it owns them.
CREATE SCHEMA staging AUTHORIZATION millwright_transform;
CREATE SCHEMA intermediate AUTHORIZATION millwright_transform;
CREATE SCHEMA marts AUTHORIZATION millwright_transform;

GRANT USAGE ON SCHEMA raw TO millwright_ingest, millwright_transform, millwright_score;
GRANT USAGE ON SCHEMA ml TO millwright_score, millwright_transform, millwright_bi;
GRANT USAGE ON SCHEMA serving TO
millwright_ingest, millwright_transform, millwright_score, millwright_operator, millwright_bi;
GRANT USAGE ON SCHEMA ops TO millwright_ingest, millwright_transform, millwright_score, millwright_bi;
GRANT USAGE ON SCHEMA marts TO millwright_score, millwright_bi;
GRANT USAGE ON SCHEMA intermediate TO millwright_score;

ALTER DEFAULT PRIVILEGES IN SCHEMA raw GRANT SELECT ON TABLES TO millwright_ingest, millwright_transform, millwright_score;
ALTER DEFAULT PRIVILEGES IN SCHEMA ml GRANT SELECT ON TABLES TO millwright_score, millwright_transform, millwright_bi;
ALTER DEFAULT PRIVILEGES IN SCHEMA serving GRANT SELECT ON TABLES TO
millwright_ingest, millwright_transform, millwright_score, millwright_operator, millwright_bi;
ALTER DEFAULT PRIVILEGES IN SCHEMA ops GRANT SELECT ON TABLES TO
millwright_ingest, millwright_transform, millwright_score, millwright_bi;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright_transform IN SCHEMA marts GRANT SELECT ON TABLES TO millwright_score, millwright_bi;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright_transform IN SCHEMA intermediate GRANT SELECT ON TABLES TO millwright_score;
