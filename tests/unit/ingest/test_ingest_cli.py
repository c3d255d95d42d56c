"""The command line: what is wrong is one line on stderr, and the exit code is 2."""

import sys
from pathlib import Path

import pytest

from ingest import __main__ as command
from tests.unit.ingest.test_ingest_plant import GOOD as PLANT


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["sync-plant", "--plant", "{plant}"], "unknown key; allowed here: node, measurement"),
        (["check", "--plant", "{plant}"], "unknown key; allowed here: node, measurement"),
        (["run", "--plant", "{folder}/none.yml"], "can't be read: No such file"),
        (["backfill", "x.csv", "--map", "{folder}/none.yml"], "can't be read: No such file"),
        (["rejected", "retry", "--plant", "{plant}"], "unknown key; allowed here: node, measurement"),
        (["load", "erp", "x.csv"], "system must be one of mes, sap, cmms. Got: 'erp'"),
        (["load", "mes"], "give either FILE... or --query with --from"),
        (["load", "mes", "x.csv", "--query", "SELECT 1"], "give either FILE... or --query with --from"),
        (["load", "mes", "--query", "SELECT 1"], "--query needs --from URL, or MILLWRIGHT_LOAD_FROM"),
        (["load", "mes", "--query", "@{folder}/none.sql", "--from", "sqlite://"], "none.sql: can't be read"),
        (["load", "mes", "x.csv", "--map", "maps/azure_pdm/errors.yml"], "the map is for cmms_errors"),
        (["rejected", "rows", "--table", "errors"], "--table must be one of mes_production_orders"),
        (["browse", "plc:4840"], "browse: url: String should match pattern"),
        (["browse", "opc.tcp://127.0.0.1:1"], "nothing listens there"),
        (["browse", "opc.tcp://plc", "--plant", "{plant}"], "exists already"),
        (["browse", "opc.tcp://plc", "--security-mode", "Sign"], "browse: security_mode needs a security_policy"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    wanted: str,
) -> None:
    plant = tmp_path / "plant.yml"
    plant.write_text(PLANT.replace("unit: mm/s", "unti: mm/s"))
    given = [argument.format(plant=plant, folder=tmp_path) for argument in arguments]
    monkeypatch.setenv("MILLWRIGHT_VAR", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["ingest", *given])
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert caught.value.code == 2
    answer = capsys.readouterr().err
    assert wanted in answer
    assert answer.count("\n") == 1
