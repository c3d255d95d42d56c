"""What models learn from: the vector of the time, and nothing that became available later."""

from __future__ import annotations

from ml.features import FEATURES
from tests.dbt.site import MINUTE, START, Site, day, land


def test_the_training_set_has_the_models_features_in_their_order(site: Site) -> None:
    land(site.admin, day(START, 20, seed=4))
    site.transform(START + 20 * MINUTE, "+ml_training_set", tests=True)
    columns = site.admin.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'marts.ml_training_set'::regclass AND attnum > 0"
        " ORDER BY attnum"
    ).fetchall()
    names = tuple(name for (name,) in columns)
    assert names[5 : 5 + len(FEATURES)] == FEATURES
