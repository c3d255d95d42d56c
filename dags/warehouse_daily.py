"""
### Build and test the whole warehouse

`check_landings` runs the data-quality checkpoint on the whole day, late readings and all; `build` runs every dbt model
and every test: baselines of the closed day, dimensions, facts and the marts that people look at. Neither waits for the
other: marts of a bad day are what shows what was bad. Incremental models stay incremental; a rerun builds the same.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from stack.zone import plant_zone


@dag(
    # No start date and no immediate run: a new installation waits for its first tick.
    schedule=CronTriggerTimetable("30 0 * * *", timezone=plant_zone(), run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1,  # one after the other, so that scoring keeps the second core
    dagrun_timeout=timedelta(hours=2),
    default_args={"retries": 1, "retry_delay": timedelta(minutes=5), "execution_timeout": timedelta(hours=1)},
    doc_md=__doc__,
    tags=["warehouse"],
)
def warehouse_daily():
    @task
    def check_landings():
        """Data-quality checkpoint `raw_landings` on the last 24 hours."""
        from stack.tasks import moment, require, settings
        from warehouse.quality import check

        require(check(settings(), "raw_landings", moment()), "checkpoint raw_landings")

    @task
    def build():
        """dbt build of everything, tests and all."""
        from stack.tasks import moment, require, settings
        from warehouse.transform import build

        require(build(settings(), moment()), "dbt build")

    check_landings()
    build()


warehouse_daily()
