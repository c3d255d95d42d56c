"""
### Partitions ahead, retention behind

Creates the day partitions of the days to come and drops readings, features, recommendations and the like past their
retention, never a day of readings that the roll-ups have not taken in. Airflow's own tables are pruned by the `pruner`
of the Procfile, for a task may not touch them. A rerun finds nothing left to do.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from stack.zone import plant_zone


@dag(
    # No start date and no immediate run: a new installation waits for its first tick.
    schedule=CronTriggerTimetable("15 4 * * *", timezone=plant_zone(), run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1), "execution_timeout": timedelta(minutes=30)},
    doc_md=__doc__,
    tags=["warehouse"],
)
def maintenance_daily():
    @task
    def partitions():
        """Days ahead and retention."""
        from stack.tasks import moment, settings
        from warehouse.maintenance import maintain

        maintain(settings(), moment())

    partitions()


maintenance_daily()
