"""
### Bring operators' answers to the warehouse

Copies what was answered in `serving` to `raw.operator_feedback` (append-only) and turns it into labels for training.
Answers are keyed by `feedback_id`: a rerun copies none twice. What the CMMS says within a week of an answered
recommendation is a label too and overrules the answer, also weeks later; only records that are new since the last run
are looked at.
"""

from datetime import timedelta

from airflow.sdk import dag, task


@dag(
    schedule="*/5 * * * *",
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=5),
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10), "execution_timeout": timedelta(minutes=2)},
    doc_md=__doc__,
    tags=["live"],
)
def sync_feedback():
    @task
    def sync():
        """serving → raw.operator_feedback → ml.labels, and outcomes of the CMMS → ml.labels."""
        from ml.learning.feedback import sync
        from stack.tasks import moment, settings

        sync(settings(), moment())

    sync()


sync_feedback()
