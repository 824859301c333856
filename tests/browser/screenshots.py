"""Screenshots of every page of the console: `python tests/browser/screenshots.py FOLDER`.

A demo is played first (or `--demo` names one that runs), then each page is shown by the Chromium of
this machine: light and dark, on a desktop and on a phone. `--readme` makes those of the README.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
SIZES = {"desktop": (1280, 800), "phone": (390, 844), "readme": (1280, 780)}
SCHEMES = ("light", "dark")
README = {
    "live": "/console/?type=message.*", "trace": "trace", "failures": "/console/failures?since=7d",
    "decide": "/console/decide",
}  # fmt: skip
PATIENCE = 240.0


def main() -> int:
    """Take the pictures; each one is a file of the folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the pictures are put")
    parser.add_argument("--demo", type=Path, help="the project of a demo that runs")
    parser.add_argument("--readme", action="store_true", help="four pages, light and small")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with playing(options.demo) as project, sync_playwright() as playwright:
        facts = json.loads((project / "data" / "dev" / "dev.json").read_text())
        program = next(path for name in CHROMIUM if (path := shutil.which(name)))
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        state, node = entered(browser, facts), str(facts["node_url"])
        seen = addresses(browser, state, node)
        if options.readme:
            for name, path in README.items():
                shown, file = seen.get(path, path), options.folder / f"{name}.jpg"
                shoot(browser, state, node + shown, "readme", "light", file)
            return 0
        for name, path in seen.items():
            for size in ("desktop", "phone"):
                for scheme in SCHEMES:
                    file = options.folder / f"{name}-{size}-{scheme}.png"
                    shoot(browser, state, node + path, size, scheme, file)
        browser.close()
    return 0


@contextmanager
def playing(project: Path | None) -> Iterator[Path]:
    """The project of a demo that has been played and runs."""
    if project is not None:
        yield project
        return
    with tempfile.TemporaryDirectory(prefix="ringback-pictures-") as folder:
        project = Path(folder) / "bicycles"
        command = [sys.executable, "-m", "ringback.cli.main", "demo", str(project)]
        demo = subprocess.Popen(command)
        try:
            end = time.monotonic() + PATIENCE
            while not (project / "data" / "dev" / "played").exists():
                if demo.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("the demo was not played to its end")
                time.sleep(0.5)
            yield project
        finally:
            demo.terminate()
            demo.wait()


def addresses(browser: Browser, state: Any, node: str) -> dict[str, str]:
    """The pages of the navigation by name, and one of each kind that a list leads to."""
    page = opened(browser, state, "desktop", "light")
    page.goto(f"{node}/console/")
    found = {"live": "/console/"}
    for link in page.locator("nav").first.locator("a").all():
        path = str(link.get_attribute("href"))
        if path.startswith("/console/") and "?" not in path and path != "/console/":
            found[path.removeprefix("/console/")] = path
    for name in ("health/logs", "health/doctor", "settings/plugins", "settings/numbers",
                 "settings/people", "settings/audit", "help/console"):  # fmt: skip
        found[name.replace("/", "-")] = f"/console/{name}"
    found |= {"try": "/console/try", "backtests": "/console/backtests"}
    for name, start, link in (
        ("trace", "/console/?type=message.received", "#rows a[href^='/console/t/']"),
        ("conversation", "/console/conversations", "main th a"),
        ("rule", "/console/rules", "main a[href^='/console/rules/']"),
        ("failure", "/console/failures?since=7d", "main a[href^='/console/failures/']"),
    ):
        page.goto(node + start)
        first = page.locator(link)
        if first.count():
            found[name] = str(first.first.get_attribute("href"))
    page.context.close()
    return found


def entered(browser: Browser, facts: dict[str, Any]) -> Any:
    """The cookies of somebody who has come in with the key of the demo. Once: only a few tries a
    minute are let through."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{facts['node_url']}/console/in#{facts['console_key']}")
    page.wait_for_url("**/console/")
    state = context.storage_state()
    context.close()
    return state


def opened(browser: Browser, state: Any, size: str, scheme: Any) -> Page:
    """An empty page of theirs, of this size."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, storage_state=state,
        timezone_id="America/New_York",
    )  # fmt: skip
    return context.new_page()


def shoot(browser: Browser, state: Any, address: str, size: str, scheme: str, file: Path) -> None:
    """One picture."""
    page = opened(browser, state, size, scheme)
    page.goto(address)
    page.wait_for_load_state("load")
    page.wait_for_timeout(300)  # the live feed has drawn its first rows
    more: dict[str, Any] = {"quality": 60} if file.suffix == ".jpg" else {}
    page.screenshot(path=str(file), **more)
    page.context.close()
    print(file)


if __name__ == "__main__":
    sys.exit(main())
