"""Take the README's pictures from a running system: `make demo` in one terminal, `python docs/pictures.py` in another.

Needs Chromium and its driver (Debian: `apt-get install chromium chromium-driver`). Writes docs/pictures/*.png.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stack import status
from stack.environment import ADMIN, airflow_secrets
from warehouse.settings import Settings

PICTURES = Path(__file__).parent / "pictures"
DRIVER = "http://127.0.0.1:9515"
SWITCHES = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars",
]  # fmt: skip


class Browser:
    """The few calls of the W3C WebDriver protocol that a picture takes."""

    def __init__(self, client: httpx.Client, width: int, height: int) -> None:
        options = {"args": [*SWITCHES, f"--window-size={width},{height}"]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self.client = client
        self.session = client.post("/session", json=wanted).raise_for_status().json()["value"]["sessionId"]

    def post(self, path: str, **payload: Any) -> Any:
        return self.client.post(f"/session/{self.session}/{path}", json=payload).raise_for_status().json()["value"]

    def picture(self, path: Path) -> None:
        reply = self.client.get(f"/session/{self.session}/screenshot").raise_for_status()
        path.write_bytes(base64.b64decode(reply.json()["value"]))

    def close(self) -> None:
        self.client.delete(f"/session/{self.session}")


@contextmanager
def browser(width: int, height: int) -> Iterator[Browser]:
    driver = subprocess.Popen(["chromedriver", "--port=9515"], stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=DRIVER, timeout=60, transport=httpx.HTTPTransport(retries=20)) as client:
            time.sleep(1)
            page = Browser(client, width, height)
            yield page
            page.close()
    finally:
        driver.terminate()
        driver.wait()


def airflow_grid(settings: Settings, path: Path) -> None:
    """The grid of score_minutely, logged in as the admin."""
    base = f"http://127.0.0.1:{settings.airflow_port}"
    login = {"username": ADMIN, "password": airflow_secrets(settings)["admin_password"]}
    token = httpx.post(f"{base}/auth/token", json=login).raise_for_status().json()["access_token"]
    with browser(1400, 800) as page:
        page.post("url", url=base)
        page.post("cookie", cookie={"name": "_token", "value": token})
        page.post("url", url=f"{base}/dags/score_minutely")
        time.sleep(8)
        page.picture(path)


def live_view(settings: Settings, path: Path) -> None:
    """What `make demo` shows in the terminal, drawn by the same code from the same tables."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "terminal").open("w") as terminal:
        console = Console(record=True, width=110, file=terminal)
        console.print(status.view(status.read(settings), settings, demo=True, now=datetime.now(UTC)))
        svg = Path(folder) / "live.svg"
        console.save_svg(str(svg), title="make demo")
        with browser(1400, 560) as page:
            page.post("url", url=svg.as_uri())
            time.sleep(1)
            page.picture(path)


def main() -> None:
    settings = Settings()
    PICTURES.mkdir(exist_ok=True)
    airflow_grid(settings, PICTURES / "airflow.png")
    live_view(settings, PICTURES / "live.png")


if __name__ == "__main__":
    main()
