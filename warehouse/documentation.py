"""The documentation of a warehouse as a site that needs no network: dbt's pages of every model, and Data Docs.

`var/docs/` holds it: `index.html`, `dbt/index.html` (models, columns, lineage, tests; one file) and
`quality/index.html` (what the checkpoints found). `python -m ml drift` puts its pages under `drift/`.
"""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from warehouse import server
from warehouse.data_docs import write_data_docs
from warehouse.errors import WarehouseError
from warehouse.settings import Settings
from warehouse.transform import PROJECT, invoke

_INDEX = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Millwright: documentation</title>
<style>body { font: 16px/1.6 system-ui, sans-serif; margin: 3rem auto; max-width: 40rem; padding: 0 1rem; color-scheme: light dark; }</style>
</head><body><h1>Millwright</h1><ul>
<li><a href="dbt/index.html">Models</a>: what each table and column means, what it is made of, who depends on it (dbt)</li>
<li><a href="quality/index.html">Data quality</a>: what the checkpoints expected and found (Great Expectations)</li>
<li><a href="drift/index.html">Drift</a>: the days beside what the champion was trained on, once <code>drift_daily</code> has run</li>
</ul></body></html>
"""  # noqa: E501


def write_site(settings: Settings) -> Path:
    """Write the whole site from the running warehouse and return its folder.

    Raises WarehouseError where the warehouse doesn't answer or dbt can't read the project.
    """
    server.wait(settings, 5)
    folder = settings.var / "docs"
    target = settings.var / "dbt" / "docs"  # not that of the minute's runs
    result = invoke(
        settings,
        [
            "docs", "generate", "--static", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT),
            "--target-path", str(target), "--quiet", "--no-use-colors", "--log-level-file", "none",
        ],
    )  # fmt: skip
    if not result.succeeded:
        raise WarehouseError(f"dbt docs generate failed: {'; '.join(result.failures) or 'see its output'}")
    page = folder / "dbt" / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    (target / "static_index.html").replace(page)
    write_data_docs(settings)
    (folder / "index.html").write_text(_INDEX, encoding="utf-8")
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """No line a request."""


def site_server(settings: Settings, folder: Path) -> ThreadingHTTPServer:
    """A server of `folder` on `MILLWRIGHT_DOCS_PORT` of this machine; raises WarehouseError where the port is taken."""
    try:
        return ThreadingHTTPServer((settings.bind, settings.docs_port), partial(_Quiet, directory=str(folder)))
    except OSError as error:
        raise WarehouseError(
            f"port {settings.docs_port} on {settings.bind} is taken or not to be had ({error.strerror}): "
            "set MILLWRIGHT_DOCS_PORT to another"
        ) from error
