-- Where dbt keeps what its tests found, if someone has to look (store_failures); one table a test, made anew by each run.
CREATE SCHEMA quality AUTHORIZATION millwright_transform;
GRANT USAGE ON SCHEMA quality TO millwright_score, millwright_bi;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright_transform IN SCHEMA quality
GRANT SELECT ON TABLES TO millwright_score, millwright_bi;
