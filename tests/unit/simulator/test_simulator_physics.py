"""Physics: the same equations at every step, faults that move what they should and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from ingest.plant import Plant, load_plant
from simulator.errors import SimulatorError
from simulator.faults import Fault, make_fault, modes_of
from simulator.live import LivePlant
from simulator.machines import Floats, Machines, machines, stream
from simulator.physics import Physics
from simulator.timeline import Timeline

SEED = 3
START = 1_750_000_000.0 // 86_400 * 86_400


@pytest.fixture(scope="module")
def plant() -> Plant:
    return load_plant(Path(__file__).parents[3] / "plant.yml")


@pytest.fixture(scope="module")
def plant_machines(plant: Plant) -> Machines:
    return machines(plant, SEED)


def run(
    plant_machines: Machines, hours: float, *faults: Fault, step_s: float = 60.0, load: float = 0.9, seed: int = SEED
) -> Floats:
    """Values of `hours` at constant load from START, after warming up."""
    physics = Physics(plant_machines, seed)
    state = physics.standing(START - 6 * 3600)
    values = np.empty(0)
    for first, last, step in ((START - 6 * 3600, START, 60.0), (START, START + hours * 3600, step_s)):
        times = np.arange(first, last, step)
        shape = (len(times), plant_machines.count)
        values = physics.advance(
            state,
            times,
            step,
            np.full(shape, load),
            np.ones(shape),
            faults,
            stream(seed, "test"),
            minute_means=step == 60,
        )
    return values


def test_the_same_seed_gives_the_same_plant_and_another_another(plant: Plant, plant_machines: Machines) -> None:
    np.testing.assert_array_equal(run(plant_machines, 2), run(machines(plant, SEED), 2))
    assert not np.allclose(run(plant_machines, 2), run(machines(plant, 4), 2, seed=4))


def test_minute_steps_and_second_steps_agree(plant_machines: Machines) -> None:
    minutes = run(plant_machines, 4)
    seconds = run(plant_machines, 4, step_s=1.0).reshape(240, 60, -1)
    spread = minutes.std(axis=0)
    assert np.abs(minutes.mean(axis=0) - seconds.mean(axis=(0, 1))).max() < 0.25 * spread.max()
    np.testing.assert_allclose(minutes.mean(axis=0), seconds.mean(axis=(0, 1)), rtol=0.01)
    # Minute means scatter alike, whether they were averaged here or by the historian.
    np.testing.assert_allclose(spread, seconds.mean(axis=1).std(axis=0), rtol=0.25)


def test_another_machine_in_the_file_changes_none_of_the_others(plant: Plant, plant_machines: Machines) -> None:
    first, *_ = plant.equipment.values()
    more = plant.model_copy(update={"equipment": {**plant.equipment, "NEW-1": first}})
    columns = len(plant_machines.channels)
    alone, with_another = (LivePlant(p, SEED, START) for p in (plant, more))
    for _ in range(3):
        quiet = np.mean([second.values for second in alone.seconds(60)], axis=0)
        both = np.mean([second.values for second in with_another.seconds(60)], axis=0)
        # Only the white noise of single samples differs.
        np.testing.assert_allclose(quiet, both[:columns], rtol=0.03)


# What a grown fault moves, by the share of its healthy value at least; the rest of the machine stays within 5 %.
SIGNATURES = {
    ("PUMP-001", "bearing_wear"): {"vibration": 0.5, "temperature": 0.05},
    ("PUMP-001", "cooling_loss"): {"temperature": 0.4},
    ("PUMP-001", "blockage"): {"throughput": -0.4, "pressure": 0.3, "temperature": 0.05, "vibration": 0.02},
    ("CONV-001", "belt_slip"): {"speed": -0.15, "throughput": -0.2, "vibration": 0.15, "temperature": 0.02},
    ("CRUSH-001", "blockage"): {"throughput": -0.4, "power": 0.15, "temperature": 0.05, "vibration": 0.02},
}


@pytest.mark.parametrize(("equipment_id", "mode"), SIGNATURES)
def test_a_fault_moves_what_it_should_and_nothing_else(plant_machines: Machines, equipment_id: str, mode: str) -> None:
    machine = plant_machines.ids.index(equipment_id)
    fault = Fault(machine, mode, START, START + 3600)
    healthy, faulty = run(plant_machines, 6), run(plant_machines, 6, fault)
    change = (faulty[-60:].mean(axis=0) / healthy[-60:].mean(axis=0)) - 1
    expected = SIGNATURES[equipment_id, mode]
    for index, channel in enumerate(plant_machines.channels):
        if channel.machine != machine:
            np.testing.assert_array_equal(faulty[:, index], healthy[:, index])
        elif (least := expected.get(channel.tag.measurement)) is None:
            assert abs(change[index]) < 0.05, channel.tag.measurement
        else:
            assert change[index] / least > 1, (channel.tag.measurement, change[index])


def test_a_grown_bearing_fault_stands_far_out_of_the_noise(plant_machines: Machines) -> None:
    channel = plant_machines.channels_of(0)[1]
    healthy = run(plant_machines, 6)[:, channel]
    faulty = run(plant_machines, 6, Fault(0, "bearing_wear", START, START + 300))[:, channel]
    assert faulty[-60:].mean() > healthy.mean() + 6 * healthy.std()


def test_a_stuck_sensor_shows_one_value_and_its_neighbours_go_on(plant_machines: Machines) -> None:
    fault = make_fault(plant_machines, SEED, "MILL-001", "sensor_stuck", START + 600, 60)
    healthy, faulty = run(plant_machines, 3), run(plant_machines, 3, fault)
    assert fault.channel is not None
    assert len(np.unique(faulty[10:, fault.channel])) == 1
    assert faulty[10, fault.channel] == healthy[10, fault.channel]
    others = np.delete(np.arange(healthy.shape[1]), fault.channel)
    np.testing.assert_array_equal(faulty[:, others], healthy[:, others])


def test_a_drifting_sensor_slides_away_alone(plant_machines: Machines) -> None:
    fault = make_fault(plant_machines, SEED, "MILL-001", "sensor_drift", START, 3600)
    healthy, faulty = run(plant_machines, 3), run(plant_machines, 3, fault)
    assert fault.channel is not None
    away = np.abs(faulty - healthy)
    assert away[-60:, fault.channel].min() > 5 * healthy[:, fault.channel].std()
    others = np.delete(np.arange(healthy.shape[1]), fault.channel)
    assert away[:, others].max() == 0


def test_severity_grows_from_nothing_to_one_and_ends_with_the_repair() -> None:
    fault = Fault(0, "blockage", 100.0, 200.0, 300.0)
    np.testing.assert_allclose(fault.severity(np.array([0.0, 100, 150, 200, 299, 300])), [0, 0, 0.5**1.5, 1, 1, 0])
    assert fault.grown_to(0.5**1.5) == pytest.approx(150)


@pytest.mark.parametrize(
    ("equipment_id", "mode", "growth_s", "message"),
    [
        ("HAUL-009", "bearing_wear", 60, "equipment must be one of HAUL-001, .*Got: 'HAUL-009'"),
        ("HAUL-001", "rust", 60, "mode must be one of bearing_wear, .*Got: 'rust'"),
        ("HAUL-001", "belt_slip", 60, "mode of HAUL-001 must be one of bearing_wear, cooling_loss.*Got: 'belt_slip'"),
        ("HAUL-001", "bearing_wear", 0, "minutes must be a positive number. Got: 0"),
        ("HAUL-001", "bearing_wear", float("nan"), "minutes must be a positive number. Got: nan"),
    ],
)
def test_what_cannot_break_is_refused(
    plant_machines: Machines, equipment_id: str, mode: str, growth_s: float, message: str
) -> None:
    with pytest.raises(SimulatorError, match=message):
        make_fault(plant_machines, SEED, equipment_id, mode, START, growth_s)


def test_every_machine_can_have_every_kind_that_fits_it(plant_machines: Machines) -> None:
    assert modes_of(plant_machines, plant_machines.ids.index("CONV-001")) == [
        "bearing_wear", "blockage", "belt_slip", "sensor_stuck", "sensor_drift",
    ]  # fmt: skip
    assert "cooling_loss" in modes_of(plant_machines, plant_machines.ids.index("REACTOR_01"))


def test_a_machine_that_stops_goes_quiet_and_cools_down(plant_machines: Machines) -> None:
    physics = Physics(plant_machines, SEED)
    state = physics.standing(START - 6 * 3600)
    times = np.arange(START - 6 * 3600, START + 6 * 3600, 60.0)
    shape = (len(times), plant_machines.count)
    running = np.where(times < START, 1.0, 0.0)[:, None] * np.ones(shape)
    values = physics.advance(state, times, 60, np.full(shape, 0.9), running, [], stream(1), minute_means=True)
    before, after = values[300:360].mean(axis=0), values[-60:].mean(axis=0)
    measured = [channel.tag.measurement for channel in plant_machines.channels]
    assert all(after[i] < 0.1 * before[i] for i, m in enumerate(measured) if m != "temperature")
    assert all(after[i] < 25 for i, m in enumerate(measured) if m == "temperature")
    # Even at rest no sensor repeats itself: a flat line means a stuck one.
    assert (np.diff(values[-60:], axis=0) != 0).all()


def test_normal_operation_stays_well_below_every_limit(plant: Plant) -> None:
    timeline = Timeline(plant, SEED, START, START + 6 * 86_400)
    values = timeline.day(START, START + 6 * 86_400, np.inf)[0].values
    assert timeline.past.episodes == []
    for index, channel in enumerate(timeline.machines.channels):
        limits = plant.limits_of(channel.tag)
        if limits is not None and limits.high.warning is not None:
            assert values[:, index].max() < 0.9 * limits.high.warning, (channel.machine, channel.tag.measurement)


def test_the_live_plant_goes_on_where_history_ended(plant: Plant) -> None:
    until = START + 2 * 86_400
    past = Timeline(plant, SEED, START, until)
    history = past.day(START, until, until - 86_400)[-1]
    live = LivePlant(plant, SEED, until)
    minute = np.array([second.values for second in live.seconds(60)]).mean(axis=0)
    last = history.values[-60:].mean(axis=0)
    minutes = history.minute_means().values
    step = np.abs(np.diff(minutes, axis=0))
    assert (np.abs(minute - last) <= 1.5 * step.max(axis=0)).all()
    assert set(live.seconds(1)[0].states) == {"RUNNING"}


def test_a_written_set_point_acts_with_a_lag(plant: Plant) -> None:
    live = LivePlant(plant, SEED, START)
    machine = live.machines.ids.index("CRUSH-001")
    throughput = next(
        c for c in live.machines.channels_of(machine) if live.machines.channels[c].tag.measurement == "throughput"
    )
    before = np.mean([second.values[throughput] for second in live.seconds(30)])
    live.write_set_point(machine, 0.4)
    soon = np.mean([second.values[throughput] for second in live.seconds(5)])
    later = np.mean([second.values[throughput] for second in live.seconds(1800)][-30:])
    assert soon > 0.95 * before
    assert later == pytest.approx(0.4 * 1200, rel=0.12)


def test_a_set_point_of_nothing_makes_the_machine_idle_and_writing_again_starts_it(plant: Plant) -> None:
    live = LivePlant(plant, SEED, START)
    machine = live.machines.ids.index("CRUSH-001")
    live.write_set_point(machine, 0.0)
    assert live.seconds(1)[0].states[machine] == "IDLE"
    live.write_set_point(machine, 0.8)
    assert live.seconds(1)[0].states[machine] == "RUNNING"


def test_a_repair_ends_the_faults_of_one_machine(plant: Plant) -> None:
    live = LivePlant(plant, SEED, START)
    live.inject("HAUL-001", "bearing_wear", 5)
    live.inject("PUMP-001", "blockage", 5)
    assert [fault.mode for fault in live.repair("HAUL-001")] == ["bearing_wear"]
    assert [fault.mode for fault in live.faults] == ["blockage"]
    with pytest.raises(SimulatorError, match="equipment must be one of"):
        live.repair("HAUL-009")
