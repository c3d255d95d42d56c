"""
### Score every machine, every minute

`features` brings the minute's readings through dbt into `marts.gold_ml_features`, `score` scores every window that has
no score yet with the champion (and the challenger, in its shadow), `publish` decides what operators get to see. Once
they have it, it says for each what spoke for it.
Until the first model there is no champion: the features are kept up to date, `score` and `publish` are skipped.

One run at a time: a run that takes longer than a minute is followed by one that catches up, for each works
through everything that is new up to its moment. Windows older than ten minutes are scored but raise no recommendation.
Safe to clear: a rerun repeats nothing that is done. A failed task is tried again twice within seconds.
"""

from datetime import timedelta

from airflow.sdk import dag, task


@dag(
    schedule="* * * * *",
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=10),
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5), "execution_timeout": timedelta(minutes=5)},
    doc_md=__doc__,
    tags=["live"],
)
def score_minutely():
    @task
    def features():
        """dbt: what this minute changed, from raw readings to features."""
        from stack.tasks import moment, require, settings
        from warehouse.transform import build

        require(build(settings(), moment(), select="tag:minute"), "dbt build")

    @task
    def score():
        """Score every window that has no score yet; skipped until there is a model."""
        from ml.errors import NoChampionError
        from ml.scoring import score
        from stack.tasks import moment, settings, skipped_by

        with skipped_by(NoChampionError):
            score(settings(), moment())

    @task
    def publish():
        """Turn scores into recommendations; show those that pass, hold the others; explain what was shown."""
        from ml.recommending.explanations import explain_new
        from ml.recommending.publishing import publish
        from stack.tasks import moment, settings

        publish(settings(), moment())
        # After its commit: nobody waits for the reasons.
        explain_new(settings(), moment())

    features() >> score() >> publish()


score_minutely()
