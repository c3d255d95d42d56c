"""
### Look at what landed, and bring up to date what people look at

`check_landings` runs the data-quality checkpoint `raw_landings` on the hour that is over: it goes red on readings that
can't be true and says which. `build` makes the marts that the dashboards read (`tag:hourly`). Neither waits for the
other, and nothing in the minute's path waits for either: scoring goes on whatever is found here; training is what a
failed checkpoint holds back. Results are in `ops.data_quality_results` and on the page that `make docs` serves.
A rerun looks at the same hour and builds the same again.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task


@dag(
    # No start date and no immediate run: a new installation waits for its first tick.
    schedule=CronTriggerTimetable("7 * * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1,  # one after the other, so that scoring keeps the second core
    dagrun_timeout=timedelta(minutes=50),
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1), "execution_timeout": timedelta(minutes=20)},
    doc_md=__doc__,
    tags=["warehouse"],
)
def warehouse_hourly():
    @task
    def check_landings():
        """Data-quality checkpoint `raw_landings` on the last hour."""
        from stack.tasks import moment, require, settings
        from warehouse.quality import check

        require(check(settings(), "raw_landings", moment(), hours=1), "checkpoint raw_landings")

    @task
    def build():
        """dbt: the marts that people look at, and views that they read; tables of the minute are the minute's."""
        from stack.tasks import moment, require, settings
        from warehouse.transform import build

        require(build(settings(), moment(), select="tag:hourly +tag:hourly,config.materialized:view"), "dbt build")

    check_landings()
    build()


warehouse_hourly()
