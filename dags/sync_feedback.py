"""
### Bring operators' answers to the warehouse

Copies what was answered in `serving` to `raw.operator_feedback` (append-only) and turns it into labels for training.
Answers are keyed by `feedback_id`: a rerun copies none twice.
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
        """serving → raw.operator_feedback → ml.labels."""
        from ml.feedback import sync
        from stack.tasks import moment, settings

        sync(settings(), moment())

    sync()


sync_feedback()
