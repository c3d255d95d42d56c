"""The shipped plant.yml: what the issue promises of it."""

from pathlib import Path

from ingest.plant import Plant, load_plant

PLANT = Path(__file__).parents[3] / "plant.yml"


def test_it_loads_with_twelve_machines_and_their_tags() -> None:
    plant = load_plant(PLANT)
    tags = [tag for equipment in plant.equipment.values() for tag in equipment.tags]
    assert len(plant.equipment) == 12
    assert {"HAUL-001", "HAUL-002", "CRUSH-001", "CONV-001", "PUMP-001", "MILL-001", "REACTOR_01"} <= set(
        plant.equipment
    )
    assert 45 <= len(tags) <= 60
    assert sum(tag.role == "state" for tag in tags) == 12
    assert all(equipment.load is not None for equipment in plant.equipment.values())
    assert all(tag.node.startswith("nsu=urn:millwright:demo;s=") for tag in tags)


def test_a_day_at_its_sampling_intervals_stays_within_the_budget() -> None:
    plant = load_plant(PLANT)
    assert _samples_a_day(plant) <= 1_600_000


def _samples_a_day(plant: Plant) -> int:
    return sum(
        86_400_000 // tag.sampling_interval_ms
        for equipment in plant.equipment.values()
        for tag in equipment.tags
        if tag.role == "measurement"
    )
