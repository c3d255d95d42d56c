"""The measurements are named in four rooms that may not import each other."""

import yaml

from ingest import plant
from ml import features
from warehouse import batches
from warehouse.transform import PROJECT


def test_the_plant_file_dbt_the_checkpoints_and_the_models_know_the_same_measurements_and_windows() -> None:
    variables = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
    named = variables["measurements"]
    assert list(batches.MEASUREMENTS) == list(features.MEASUREMENTS) == list(plant.MEASUREMENTS) == named
    assert list(batches.WINDOWS) == variables["windows"]
    assert set(features.WINDOWS) <= set(variables["windows"])
