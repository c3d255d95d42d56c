"""Gate 2: what a challenger's time in the shadow must have shown, and that record and alias agree."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from typer.testing import CliRunner

from ml import registry as mlflow
from ml.__main__ import app, main
from ml.errors import ModelError, RegistryError
from ml.gates import decisions
from ml.policy import Policy
from tests.integration.ml.shadowing import (
    DAY,
    NOW,
    SINCE,
    Registry,
    decided,
    in_memory,
    raises,
    rows,
    watched,
)
from warehouse.settings import Settings

Run = Callable[..., tuple[object, str, str]]
RULES = Policy(min_shadow_windows=100)
FAILED = SINCE + 30 * DAY
HOURS = timedelta(hours=6)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return in_memory(monkeypatch, champion="1", challenger="2", previous="0")


def _promoted(admin: psycopg.Connection) -> None:
    watched(admin, 32, failing=24)
    for role in ("champion", "challenger"):
        raises(admin, role, "1-20", FAILED - HOURS, FAILED)


def test_without_failures_and_answers_it_stays_challenger(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    watched(admin, 10)
    decision = decisions.promote(warehouse, NOW, RULES)
    assert decision.outcome == "undecided"
    assert "0 failures: evidence" in decision.reason and "is at 1 of 20" in decision.reason
    found = rows(admin)
    assert found["false_alarms_evidence"][0] and not found["failures_evidence"][0]
    assert "none was judged" in found["own_precision"][1] and found["agreed_precision"][0]
    assert registry.aliases == {"champion": "1", "challenger": "2", "previous": "0"}


def test_one_that_sees_what_the_champion_sees_is_promoted_once(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    _promoted(admin)
    early = decisions.promote(warehouse, SINCE + DAY / 2, RULES)
    assert early.outcome == "undecided" and "shadow_hours 12 misses 24" in early.reason
    decision = decisions.promote(warehouse, NOW, RULES)
    assert decision.outcome == "champion", decision.reason
    assert registry.aliases == {"champion": "2", "previous": "1"}
    shares = {c.name: (c.candidate, c.champion) for c in decision.criteria if c.name.endswith("_share")}
    seen = (pytest.approx(5 / 6), pytest.approx(5 / 6))
    assert shares == {"failures_share": seen, "false_alarms_share": (0, 0), "chatter_share": (0, 0)}
    # Again for the same moment: the same, and no second row.
    before = admin.execute("SELECT count(*) FROM ml.promotions").fetchone()
    assert decisions.promote(warehouse, NOW, RULES) == decision
    assert admin.execute("SELECT count(*) FROM ml.promotions").fetchone() == before
    assert decisions.promote(warehouse, NOW + DAY, RULES).reason == "there is no challenger"
    assert decided(admin) == [("promote", "undecided", "2"), ("promote", "champion", "2")]


def test_one_that_misses_failures_loses_its_place(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    watched(admin, 30, failing=20)
    raises(admin, "champion", "1-20", FAILED - HOURS, FAILED)
    raises(admin, "challenger", "1-4", FAILED - HOURS, FAILED)
    decision = decisions.promote(warehouse, NOW, RULES)
    assert decision.outcome == "refused" and "20 failures: evidence that it is worse" in decision.reason
    assert registry.aliases == {"champion": "1", "previous": "0"}


def test_one_that_raises_false_alarms_loses_its_place(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    watched(admin, 10)
    raises(admin, "challenger", "1-3", SINCE, SINCE + 20 * DAY)
    decision = decisions.promote(warehouse, NOW, RULES)
    assert decision.outcome == "refused" and "clear machine-days: evidence that it is worse" in decision.reason
    assert "challenger" not in registry.aliases


def test_one_that_chatters_within_what_the_grid_shows_loses_its_place(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    """Both raise the same quarter of an hour of the same days; the challenger lets go of it every other minute."""
    watched(admin, 8)
    admin.execute(
        "INSERT INTO ml.scores (equipment_id, window_end, model_version, role, anomaly_score, action_code, confidence,"
        " moment) SELECT 'M' || n, at, v.version, v.role,"
        " CASE WHEN v.version = '1' OR extract(minute FROM at)::integer %% 2 = 1 THEN 0.95 ELSE 0.1 END,"
        " 'reduce_speed', 0.9, at FROM generate_series(1, 8) AS n, generate_series(0, 19) AS d,"
        " (VALUES ('1', 'champion'), ('2', 'challenger')) AS v (version, role),"
        " LATERAL generate_series(%(at)s + d * interval '1 day', %(at)s + d * interval '1 day' + interval '14 min',"
        " '1 min') AS at",
        {"at": SINCE + timedelta(hours=2, minutes=1)},
    )
    decision = decisions.promote(warehouse, NOW, RULES)
    found = {c.name: c for c in decision.criteria}
    assert (found["chatter_share"].candidate, found["chatter_share"].champion) == (pytest.approx(160 / 280), 0)
    assert found["chatter_share"].reason.startswith(
        "of 280 machine-days looked at for chatter the challenger chattered"
    )
    assert found["false_alarms_share"].candidate == found["false_alarms_share"].champion == pytest.approx(160 / 224)
    assert decision.outcome == "refused" and not found["chatter_against"].passed
    assert found["false_alarms_against"].passed
    # Three alarms a day, more than an hour apart, are three and none that chatters.
    registry.aliases["challenger"] = "2"
    admin.execute("DELETE FROM ml.scores WHERE extract(minute FROM window_end) > 0")
    for hour in (3, 6, 9):
        for day in range(20):
            at = SINCE + day * DAY + timedelta(hours=hour)
            raises(admin, "challenger", "1-8", at - timedelta(minutes=1), at)
    found = {c.name: c for c in decisions.promote(warehouse, NOW + timedelta(hours=1), RULES).criteria}
    assert found["chatter_share"].candidate == 0 and found["chatter_evidence"].passed


def test_a_day_counts_as_clear_only_when_a_week_without_a_failure_followed(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    """M1's alarms came in the week before its failure: nobody knows that they were false."""
    watched(admin, 2, failing=1)
    raises(admin, "challenger", "1-1", SINCE + 23 * DAY, FAILED)
    decision = decisions.promote(warehouse, NOW, RULES)
    found = {c.name: c for c in decision.criteria}
    assert found["false_alarms_share"].candidate == 0
    assert found["false_alarms_share"].reason.startswith("of 51 clear machine-days"), "28 of M2, 23 of M1"


def _answered(admin: psycopg.Connection, count: int, *, label: str, by: str, first: int) -> None:
    """Judged recommendations on M`first` and those that follow, a week after SINCE."""
    for n in range(first, first + count):
        admin.execute(
            "WITH shown AS (INSERT INTO ml.recommendations (recommendation_id, equipment_id, timestamp, anomaly_score,"
            " severity, action_code, recommendation_text, confidence, model_version, published_by)"
            " VALUES ('rec-' || %(n)s, 'M' || %(n)s, %(at)s, 0.8, 'significant', 'reduce_speed', 'x', 0.9,"
            " %(version)s, %(by)s) RETURNING equipment_id, timestamp)"
            " INSERT INTO ml.labels (equipment_id, from_ts, to_ts, label, source, source_id, judged_at)"
            " SELECT equipment_id, timestamp - interval '15 minutes', timestamp, %(label)s, 'feedback', %(n)s::text,"
            " timestamp FROM shown",
            {
                "n": n, "at": SINCE + 7 * DAY, "by": by, "version": "2" if by == "challenger" else "1", "label": label,
            },
        )  # fmt: skip


def test_an_alarm_that_was_confirmed_is_no_false_one_though_no_failure_followed(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    watched(admin, 4)
    at = SINCE + 7 * DAY
    raises(admin, "champion", "1-3", at - timedelta(hours=1), at)
    _answered(admin, 2, label="true_positive", by="champion", first=1)
    _answered(admin, 1, label="false_positive", by="champion", first=3)
    found = {c.name: c for c in decisions.promote(warehouse, NOW, RULES).criteria}
    # Of 28 days of each machine that a week has followed, 9 of two are around what was confirmed.
    assert found["false_alarms_share"].reason.startswith("of 94 clear machine-days")
    assert found["false_alarms_share"].champion == pytest.approx(1 / 94), "the one that was rejected"


def test_one_that_keeps_the_wrong_alarms_and_drops_the_right_ones_stays_challenger(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    _promoted(admin)
    _answered(admin, 20, label="true_positive", by="champion", first=1)
    _answered(admin, 10, label="false_positive", by="champion", first=21)
    at = SINCE + 7 * DAY
    raises(admin, "challenger", "21-32", at - timedelta(hours=1), at)
    decision = decisions.promote(warehouse, NOW, RULES)
    assert "agreed_precision 0 misses 0.5667" in decision.reason
    assert "10 of 30 judged recommendations it raised as well" in decision.reason
    assert decision.outcome == "undecided"


def test_its_own_recommendations_that_operators_reject_refuse_it(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    _promoted(admin)
    _answered(admin, 15, label="true_positive", by="champion", first=1)
    _answered(admin, 15, label="false_positive", by="challenger", first=16)
    decision = decisions.promote(warehouse, NOW, RULES.model_copy(update={"own_share": 0.5}))
    assert decision.outcome == "refused" and "own_precision 0 of 15 in machine-weeks drawn" in decision.reason


def test_an_alias_set_by_hand_in_the_registry_is_recorded_and_not_promoted(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    _promoted(admin)
    registry.aliases = {"champion": "7", "challenger": "8"}
    decision = decisions.promote(warehouse, NOW, RULES)
    assert decision.outcome == "undecided" and "never passed gate 1" in decision.reason
    assert decided(admin) == [("registry", "champion", "7"), ("promote", "undecided", "8")]
    decisions.promote(warehouse, NOW + DAY, RULES)
    assert decided(admin)[2:] == [("promote", "undecided", "8")], "once"


def test_a_registry_that_is_away_decides_nothing(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    _promoted(admin)
    registry.away = True
    for gate in (
        lambda: decisions.promote(warehouse, NOW, RULES),
        lambda: decisions.promote(warehouse, NOW, RULES, by="kari", reason="it is better"),
        lambda: decisions.rollback(warehouse, NOW, "kari", "it is worse"),
        lambda: decisions.challenge(warehouse, "T", NOW, RULES),
    ):
        with pytest.raises(RegistryError, match="away"):
            gate()
    assert decided(admin) == []


@pytest.mark.parametrize("call", [1, 2, 3])
def test_one_that_goes_away_while_aliases_move_leaves_them_and_the_record_as_they_were(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry, call: int
) -> None:
    _promoted(admin)
    registry.fails = {call}
    with pytest.raises(RegistryError, match=r"connection refused.*nothing was decided"):
        decisions.promote(warehouse, NOW, RULES)
    assert registry.aliases == {"champion": "1", "challenger": "2", "previous": "0"}
    # A task whose time is over is ended in the middle by what is no Exception.
    registry.ends, registry.fails = KeyboardInterrupt, {registry.calls + call}
    with pytest.raises(KeyboardInterrupt):
        decisions.promote(warehouse, NOW, RULES)
    assert registry.aliases == {"champion": "1", "challenger": "2", "previous": "0"}
    assert decided(admin) == []
    assert decisions.promote(warehouse, NOW, RULES).outcome == "champion", "the next try"
    assert decided(admin) == [("promote", "champion", "2")]


def test_one_that_stays_away_halfway_is_told_and_the_next_gate_records_what_it_finds(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    _promoted(admin)
    registry.fails = {3, 4}
    with pytest.raises(RegistryError, match="next gate records the champion that it finds"):
        decisions.promote(warehouse, NOW, RULES)
    assert decided(admin) == [] and registry.aliases["champion"] == "2"
    assert decisions.promote(warehouse, NOW, RULES).reason == "there is no challenger"
    assert decided(admin) == [("registry", "champion", "2")], "record and alias agree"
    assert decisions.rollback(warehouse, NOW, "kari", "nobody wanted it").candidate_version == "1"


def test_a_rollback_and_a_second_one(warehouse: Settings, admin: psycopg.Connection, registry: Registry) -> None:
    _promoted(admin)
    by_hand = decisions.promote(warehouse, NOW, RULES, by="kari", reason="the old one chatters")
    assert (by_hand.gate, registry.aliases) == ("manual", {"champion": "2", "previous": "1"})
    back = decisions.rollback(warehouse, NOW + DAY, "kari", "the new one as well")
    assert back.candidate_version == "1" and registry.aliases == {"champion": "1"}
    with pytest.raises(RegistryError, match="no previous champion"):
        decisions.rollback(warehouse, NOW + DAY, "kari", "again")
    assert decided(admin) == [("manual", "champion", "2"), ("rollback", "previous", "1")]
    assert rows(admin)["decision"] == (True, "the new one as well")


@pytest.fixture
def run(warehouse: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("rollback", …)` as from a shell by kari: what it exits with, says, and complains of."""
    monkeypatch.setattr("ml.__main__.Settings", lambda: warehouse)
    monkeypatch.setattr("getpass.getuser", lambda: "kari")

    def command(*words: str) -> tuple[object, str, str]:
        monkeypatch.setattr("sys.argv", ["ml", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out.strip(), said.err.strip()

    return command


def test_a_person_promotes_and_rolls_back_by_command(admin: psycopg.Connection, registry: Registry, run: Run) -> None:
    assert run("history")[1].startswith("no gate has decided anything yet")
    watched(admin, 1, days=1)
    for words in ((), ("--reason", " ")):
        assert run("promote", "--by-hand", *words)[::2] == (2, "a promotion by hand needs a reason: --reason 'why'")
    assert run("rollback", "--reason", "")[::2] == (2, "a rollback needs a reason: --reason 'why'")
    code, _, told = run("promote", "--reason", "it chatters less")
    assert code == 2 and told.startswith("a reason goes with a promotion by hand: --by-hand")
    assert decided(admin) == []
    assert run("promote", "--by-hand", "--reason", "it chatters less") == (0, "champion: it chatters less", "")
    assert registry.aliases == {"champion": "2", "previous": "1"}
    code, _, told = run("promote", "--by-hand", "--reason", "again")
    assert code == 2 and told.startswith("there is no challenger to promote")
    assert run("rollback", "--reason", "it misses") == (0, "champion is 1 again, 2 went", "")
    assert registry.aliases == {"champion": "1"}
    code, _, told = run("rollback", "--reason", "again")
    assert code == 2 and told.startswith("there is no previous champion to go back to")
    kept = admin.execute(
        "SELECT gate, decision, reason, decided_by FROM ml.promotions WHERE reason <> 'x' ORDER BY promotion_id"
    ).fetchall()
    assert kept == [
        ("manual", "champion", "it chatters less", "kari"), ("rollback", "previous", "it misses", "kari"),
    ]  # fmt: skip


def test_what_sees_other_features_than_the_mart_has_does_not_become_champion(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry, run: Run
) -> None:
    """After an upgrade: champion 1 was made anew by then, previous and challenger are of before."""
    _promoted(admin)
    registry.old = {"0", "2"}
    complaint = "nothing can be scored with it: feature contract another of version {} is not the mart's "
    code, _, told = run("rollback", "--reason", "it misses")
    assert code == 2 and told.startswith(complaint.format(0))
    assert registry.aliases["champion"] == "1" and decided(admin) == [("rollback", "refused", "0")]
    code, _, told = run("promote", "--by-hand", "--reason", "it sees more")
    assert code == 2 and told.startswith(complaint.format(2))
    assert registry.aliases == {"champion": "1", "previous": "0"}
    # The gate, which its time in the shadow would have carried.
    registry.aliases["challenger"] = "2"
    decision = decisions.promote(warehouse, NOW, RULES)
    assert decision.outcome == "refused" and decision.reason.startswith(complaint.format(2))
    assert decisions.promote(warehouse, NOW, RULES) == decision
    assert registry.aliases == {"champion": "1", "previous": "0"}
    assert decided(admin)[1:] == [("manual", "refused", "2"), ("promote", "refused", "2")]
    assert rows(admin)["feature_contract"][0] is False


def test_the_gates_move_the_aliases_of_mlflow_itself(
    site: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, on a real registry; then on one that doesn't answer."""
    # Its versions are names without a bundle.
    monkeypatch.setattr(mlflow, "load", Registry().load)
    handle = mlflow.client(site)
    handle.create_registered_model(mlflow.MODEL)
    for _ in range(2):
        handle.create_model_version(mlflow.MODEL, source="file:///nowhere")
    mlflow.set_aliases(site, {"champion": "1", "challenger": "2"})
    watched(admin, 1, days=1)
    decisions.promote(site, NOW, RULES, by="kari", reason="to try it")
    assert mlflow.ask(site).versions == {"champion": "2", "previous": "1"}
    decisions.rollback(site, NOW, "kari", "to try it")
    assert mlflow.ask(site).versions == {"champion": "1"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{site.mlflow_port}")
    assert mlflow.aliases(site).registry_away, "what scores goes on with the last champion known"
    with pytest.raises(RegistryError, match="is away"):
        decisions.promote(site, NOW + DAY, RULES)
    assert decided(admin) == [("manual", "champion", "2"), ("rollback", "previous", "1")]


def test_two_promotions_at_once_are_one(warehouse: Settings, admin: psycopg.Connection, registry: Registry) -> None:
    _promoted(admin)
    ended: list[str] = []

    def promote() -> None:
        try:
            ended.append(decisions.promote(warehouse, NOW, RULES, by="kari", reason="now").outcome)
        except ModelError as error:
            ended.append(str(error).split(";")[0])

    both = [threading.Thread(target=promote) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(ended) == ["champion", "there is no challenger to promote"]
    assert decided(admin) == [("manual", "champion", "2")]
    assert registry.aliases == {"champion": "2", "previous": "1"}


def test_history_shows_every_figure_of_a_decision(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched(admin, 3)
    decisions.promote(warehouse, NOW, RULES)
    monkeypatch.setattr("ml.__main__.Settings", lambda: warehouse)
    short = CliRunner().invoke(app, ["history"]).output.splitlines()
    assert len(short) == 3 and "promote: undecided (candidate 2, champion 1, by gate)" in short[0]
    told = CliRunner().invoke(app, ["history", "--all", "--limit", "1"]).output
    assert "    FAILED  0 failures: evidence that it is not worse" in told and "    passed  shadow_hours 840" in told
