"""
### Search for better parameters of the models

Optuna tries parameters on the time before the one that Sunday's candidate is judged on, within a budget of trials and
minutes (`MILLWRIGHT_ML_TUNING_TRIALS`, `MILLWRIGHT_ML_TUNING_MINUTES`; 0 trials turn it off). What gains enough over
the built-in parameters is a row of `ml.tunings` that `retrain_weekly` takes up; with too few faults to search on there
is nothing to do. A rerun for the same moment goes on with the same study.

Saturday at two, in the plant's time zone: a search must not stand between a plant and its candidate.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from stack.zone import plant_zone


@dag(
    # No start date and no immediate run: a new installation waits for its first tick.
    schedule=CronTriggerTimetable("0 2 * * 6", timezone=plant_zone(), run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1), "execution_timeout": timedelta(hours=2)},
    doc_md=__doc__,
    tags=["models"],
)
def tune_weekly():
    @task
    def tune():
        """The search; returns what came of it, in words."""
        from ml.learning.tuning import tune
        from stack.tasks import moment, settings

        return tune(settings(), moment()).reason

    tune()


tune_weekly()
