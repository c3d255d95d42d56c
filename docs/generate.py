"""Writes docs/reference/ from the code: settings, commands, tables. Run: python docs/generate.py"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

FOLDERS = ("ingest", "ml", "simulator", "stack", "warehouse")
GENERATED = "<!-- Written by docs/generate.py. Don't edit: change the code and run it again. -->\n"


def settings_page() -> str:
    """Every field of `Settings`: the environment variable, its default, what it means."""
    from warehouse.settings import Settings

    lines = [
        GENERATED,
        "# Settings\n",
        "Read from the environment by every command. Secrets of roles: `MILLWRIGHT_PASSWORD_<ROLE>` overrides what",
        "`var/passwords.json` says (roles: admin, ingest, transform, score, operator, bi, airflow, mlflow).\n",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        variable = name.upper() if name.startswith("pg") else f"MILLWRIGHT_{name.upper()}"
        default = field.default
        if isinstance(default, Path):
            default = default.relative_to(HOME)
        lines.append(f"| `{variable}` | {'' if default is None else f'`{default}`'} | {field.description} |")
    from ml.policy import Policy

    lines += ["", "## Scoring, training and gates\n", "| variable | default | meaning |", "|---|---|---|"]
    for name, field in Policy.model_fields.items():
        lines.append(f"| `MILLWRIGHT_ML_{name.upper()}` | `{field.default}` | {field.description or name} |")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Every command of every folder, with its arguments and options."""
    from typer.main import get_command

    lines = [GENERATED, "# Commands\n", "Each folder is a program: `.venv/bin/python -m FOLDER COMMAND`.\n"]
    for folder in FOLDERS:
        module = importlib.import_module(f"{folder}.__main__")
        group: Any = get_command(module.app)
        lines += [f"## {folder}\n", f"{(module.app.info.help or '').strip()}\n"]
        for name, command in _flat(getattr(group, "commands", {folder: group})):
            if command.hidden:
                continue
            lines += [f"### `python -m {folder} {name}`\n", " ".join((command.help or "").split()) + "\n"]
            rows = [_parameter(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
            if rows:
                lines += ["| argument or option | meaning |", "|---|---|", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


def _flat(commands: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, command) of all commands, each group before its own."""
    for name, command in commands.items():
        yield prefix + name, command
        yield from _flat(getattr(command, "commands", {}), f"{prefix}{name} ")


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        label = parameter.make_metavar_name() if hasattr(parameter, "make_metavar_name") else parameter.name.upper()
    else:
        label = ", ".join(parameter.opts)
    default = parameter.default
    shown = default not in (None, False, ()) and not callable(default)
    # A path below the checkout, or a setting's value, differs from machine to machine.
    suffix = f" (default: `{getattr(default, 'value', default)}`)" if shown and str(HOME) not in str(default) else ""
    return f"| `{label}` | {' '.join((parameter.help or '').split())}{suffix} |"


def enterprise_page() -> str:
    """Every table that MES, SAP and CMMS are loaded into: its columns, types and what is allowed."""
    from ingest.files.contracts import CONTRACTS

    lines = [
        GENERATED,
        "# Tables of MES, SAP and CMMS\n",
        "What `python -m ingest load` takes. A file is named after its table and has these columns, or a map says",
        "which of its own they are. Times are ISO 8601, in UTC where they name no zone.\n",
    ]
    for contract in CONTRACTS.values():
        lines += [f"## {contract.table}\n", f"One row per {contract.grain.removeprefix('an ').removeprefix('a ')}.\n"]
        lines += ["| column | type | meaning | allowed |", "|---|---|---|---|"]
        for column in contract.columns:
            shown = "key" if column.key else column.type + ("" if column.required else ", or empty")
            lines.append(f"| `{column.name}` | {shown} | {column.about} | {column.rule} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


TABLES = """
SELECT n.nspname, c.relname, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END, obj_description(c.oid, 'pg_class'),
    (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        col_description(c.oid, a.attnum)) ORDER BY a.attnum)
     FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE n.nspname IN ('raw', 'ml', 'serving', 'ops') AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
ORDER BY array_position(ARRAY['raw', 'ml', 'serving', 'ops'], n.nspname::text), c.relname
"""


def tables_page(connection: Any) -> str:
    """Every table and view that the migrations make, from a migrated database."""
    lines = [
        GENERATED,
        "# Tables\n",
        "What the migrations make. What dbt builds (`staging`, `intermediate`, `marts`) is described by dbt's own",
        "documentation: `make docs`.\n",
    ]
    schema = ""
    for namespace, name, kind, comment, columns in connection.execute(TABLES).fetchall():
        if namespace != schema:
            schema = namespace
            lines.append(f"## {schema}\n")
        lines += [f"### {namespace}.{name}{' (view)' if kind == 'view' else ''}\n", f"{comment or ''}\n"]
        lines += ["| column | type | meaning |", "|---|---|---|"]
        for column, datatype, required, meaning in columns:
            shown = datatype + ("" if required or kind == "view" else ", or null")
            lines.append(f"| `{column}` | {shown} | {(meaning or '').replace('|', '&#124;')} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    from warehouse import server
    from warehouse.migrate import migrate
    from warehouse.roles import Role, connect
    from warehouse.settings import Settings

    reference = HOME / "docs" / "reference"
    reference.mkdir(exist_ok=True)
    (reference / "settings.md").write_text(settings_page())
    (reference / "commands.md").write_text(commands_page())
    (reference / "enterprise.md").write_text(enterprise_page())
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        Path(folder).chmod(0o755)  # as root, Postgres runs as a system user that has to get in
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        settings = Settings(var=Path(folder), postgres_port=port, pghost=None)
        with server.running(settings):
            migrate(settings)
            with connect(settings, Role.ADMIN) as connection:
                (reference / "tables.md").write_text(tables_page(connection))


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "120")
    main()
