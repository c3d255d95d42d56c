"""
### Hold the day against what the champion was trained on

Compares the last 24 hours' features and scores with the reference kept with the champion, writes every figure to
`ml.drift`, and a page. What drifted is a warning in this log that names the sensors and says whether a sensor or the
process changed; the run stays green: nothing of it is broken, a retraining may well be the wrong answer to a sensor,
and a red run would be cleared and repeated, which finds the same. Without a champion or its reference it is skipped.
A rerun for the same moment replaces what it said.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from stack.zone import plant_zone


@dag(
    # No start date and no immediate run: a new installation waits for its first tick.
    schedule=CronTriggerTimetable("30 5 * * *", timezone=plant_zone(), run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1), "execution_timeout": timedelta(minutes=10)},
    doc_md=__doc__,
    tags=["models"],
)
def drift_daily():
    @task
    def drift():
        """Figures, verdicts, warnings and the page of the last 24 hours."""
        from ml.drift.check import check
        from ml.errors import NoChampionError, NoReferenceError
        from stack.tasks import moment, settings, skipped_by

        with skipped_by(NoChampionError), skipped_by(NoReferenceError):
            check(settings(), moment())

    drift()


drift_daily()
