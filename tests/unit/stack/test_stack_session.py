"""What runs while the preparation is still under way."""

from __future__ import annotations

import pytest

from stack.session import AFTER, ready
from stack.steps import STEPS
from stack.supervisor import procfile
from warehouse.transform import PROJECT


def test_what_a_process_waits_for_exists() -> None:
    assert AFTER.keys() <= procfile().keys()
    assert {step for needs in AFTER.values() for step in needs} <= STEPS.keys()
    models = {path.stem for path in (PROJECT / "models").rglob("*.sql")}
    assert {step.held_from for step in STEPS.values() if step.held_from} <= models
    assert {step.held_beside for step in STEPS.values() if step.held_beside} <= STEPS.keys()


def test_the_order_of_the_steps_is_one_in_which_they_can_run() -> None:
    names = list(STEPS)
    for name, step in STEPS.items():
        assert all(need in names for need in step.needs), name
    began: list[str] = []
    late = {name for name, step in STEPS.items() if step.late}
    assert not any(late & set(step.needs) for step in STEPS.values()), "nobody waits for a late step"
    while len(began) < len(names):
        covered = {part for name in names if name not in began for part in STEPS[name].covers}
        left = [name for name in names if name not in covered and name not in began]
        following = next(name for name in left if set(STEPS[name].needs) <= set(began))
        began += [following, *STEPS[following].covers]
    assert began.index("model") < began.index("mlflow"), "the process that trains makes it"


def test_what_takes_processors_waits_for_what_the_first_score_needs() -> None:
    before = [name for name, step in STEPS.items() if not step.late and name not in ("features", "views", "model")]
    assert set(ready(procfile(), before, demo=True)) == {"plant", "ingest"}
    assert set(ready(procfile(), [*before, "features", "views"], demo=True)) == {"plant", "ingest"}
    assert set(ready(procfile(), [*before, "features", "views", "model"], demo=True)) == set(AFTER)


def test_a_plant_without_a_past_has_views_before_its_first_minute() -> None:
    before = [name for name, step in STEPS.items() if not step.demo and name != "views"]
    assert "airflow-scheduler" not in ready(procfile(), before, demo=False)
    assert "airflow-scheduler" in ready(procfile(), [*before, "views"], demo=False)


@pytest.mark.parametrize("demo", [True, False])
def test_nothing_starts_before_its_database_is_there(demo: bool) -> None:
    assert ready(procfile(), ["migrate"], demo) == []
    for name in ready(procfile(), [n for n in STEPS if n not in ("airflow", "mlflow")], demo):
        assert not name.startswith(("airflow", "mlflow")), name


def test_a_plant_of_ones_own_waits_for_no_history() -> None:
    done = ["migrate", "plant", "views", "airflow", "mlflow"]
    assert set(ready(procfile(), done, demo=False)) == set(AFTER)
