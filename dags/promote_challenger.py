"""
### Promote the challenger, if its time in the shadow earned it

Compares what champion and challenger said about the same live windows and what became of them, writes every figure
of the gate to `ml.promotions`, and moves the alias `champion` (the old one becomes `previous`) only when the challenger
is shown to be no worse. One that is shown to be worse loses its alias; undecided, it is judged again tomorrow, with all
evidence so far (`ml/gates/sequential.py`). Without a challenger there is nothing to do. A rerun for the same moment
returns what was decided; with the registry away the task fails and nothing is decided.

Before that, `check_skew` scores yesterday's stored vectors again: scores that don't come out again are no ground for a
decision.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from stack.zone import plant_zone


@dag(
    # No start date and no immediate run: a new installation waits for its first tick.
    schedule=CronTriggerTimetable("0 6 * * *", timezone=plant_zone(), run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1), "execution_timeout": timedelta(minutes=10)},
    doc_md=__doc__,
    tags=["models"],
)
def promote_challenger():
    @task
    def check_skew():
        """Yesterday's scores, made again from their vectors; rows of `ops.data_quality_results`."""
        from ml.skew import check, day_of
        from stack.tasks import moment, require, settings

        require(check(settings(), *day_of(moment()), moment()), "skew")

    @task
    def promote():
        """The gate, then the alias."""
        from ml.gates.decisions import promote
        from stack.tasks import moment, settings

        promote(settings(), moment())

    check_skew() >> promote()


promote_challenger()
