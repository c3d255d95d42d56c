"""The Postgres that everything lives in: embedded server, roles, migrations, partitions, quality, dbt runs."""
