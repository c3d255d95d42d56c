"""
### Train a candidate, and let the gate judge it

`check_landings` and `check_training_set` run the data-quality checkpoints: a blocking failure of either ends the run
before anything is trained, and says why. Scoring goes on with the champion that is there.
`train` fits the models on what was known at this run's moment, with the parameters that `tune_weekly` found, and logs
them to MLflow. `challenge` compares the candidate with the champion on the same held-out time; every figure of the gate
is a row in `ml.promotions`. What passes becomes the `challenger`, which scores in the shadow until `promote_challenger`
judges it. `describe` adds the model card and its pictures.

Sunday at two, in the plant's time zone. A rerun trains anew for the same moment and the same data.
"""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from stack.zone import plant_zone


@dag(
    # No start date and no immediate run: a new installation waits for its first tick.
    schedule=CronTriggerTimetable("0 2 * * 0", timezone=plant_zone(), run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=3),
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1), "execution_timeout": timedelta(hours=1)},
    doc_md=__doc__,
    tags=["models"],
)
def retrain_weekly():
    @task
    def check_landings():
        """Data-quality checkpoint `raw_landings` on the last day; blocks what follows."""
        from stack.tasks import moment, require, settings
        from warehouse.quality import check

        require(check(settings(), "raw_landings", moment()), "checkpoint raw_landings")

    @task
    def check_training_set():
        """Data-quality checkpoint `training_set`; blocks what follows."""
        from stack.tasks import moment, require, settings
        from warehouse.quality import check

        require(check(settings(), "training_set", moment()), "checkpoint training_set")

    @task
    def train():
        """Fit, evaluate, log and register; returns the training's id."""
        from ml.learning.training import train
        from stack.tasks import moment, settings

        return train(settings(), moment()).training_id

    @task
    def challenge(training_id):
        """The gate: candidate against champion on the same held-out time."""
        from ml.gates.decisions import challenge
        from stack.tasks import moment, settings

        challenge(settings(), training_id, moment())

    @task
    def describe(training_id):
        """Model card and pictures of the candidate, in MLflow; nothing where the training was refused."""
        from ml.learning.card import describe
        from stack.tasks import settings

        describe(settings(), training_id)

    trained = train()
    [check_landings(), check_training_set()] >> trained
    challenge(trained)
    describe(trained)


retrain_weekly()
