"""Cost of the console in a browser: `python benchmarks/browser.py`, with the extra `browser`.

How much later than an empty page of the same node Live and Trace show something, in turns; and what
a minute of 300 events a second costs the main thread of a page that watches Live, its heap before
and after, and how long its Pause takes meanwhile.
"""

import argparse
import asyncio
import re
import shutil
import statistics
import sys
import time
from contextlib import ExitStack
from threading import Thread
from typing import Any

from console import PASSWORD, PEOPLE, watched
from nodes import Node, environment, pace
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from servers import request_of

CHROMIUM = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PAINTED = """() => new Promise((done) => new PerformanceObserver((list) => {
    for (const entry of list.getEntriesByName('first-contentful-paint')) done(entry.startTime);
}).observe({ type: 'paint', buffered: true }))"""


def signed_in(browser: Browser, node: Node) -> BrowserContext:
    """A browser in which somebody has signed in."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{node.port}/console/login")
    page.fill("input[name=name]", PEOPLE[0])
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/console/", wait_until="commit")
    page.close()
    return context


def first_paint(context: BrowserContext, url: str) -> float:
    """When a new tab shows something of a page, in ms after it was asked for."""
    page = context.new_page()
    page.goto(url)
    painted = float(page.evaluate(PAINTED))
    page.close()
    return painted


def paints(context: BrowserContext, node: Node, rounds: int) -> None:
    """C2 of the console."""
    base = f"http://127.0.0.1:{node.port}"
    page = context.new_page()
    page.goto(f"{base}/console/")
    trace = re.search(r'href="(/console/t/evt_\w+)', page.content())
    file = re.search(r"/console/static/\w+/", page.content())
    page.close()
    assert trace, "Live shows no event"
    assert file, "Live names no file"
    # A few lines of text that the console itself answers with, as it does with pages.
    pages = {"empty": f"{file[0]}in.js", "Live": "/console/", "Trace": trace[1]}
    found: dict[str, list[float]] = {name: [] for name in pages}
    for _ in range(rounds + 1):
        for name, path in pages.items():
            found[name].append(first_paint(context, base + path))
    empty = [*found["empty"][1:]]
    print(f"a few lines of text paint after {statistics.median(empty):.0f} ms")
    for name in ("Live", "Trace"):
        later = [one - bare for one, bare in zip(found[name][1:], empty, strict=True)]
        print(f"{name:5} {statistics.median(later):+.0f} ms ({min(later):+.0f} to "
              f"{max(later):+.0f}; at most +100)")  # fmt: skip


def watching(context: BrowserContext, node: Node, rate: float, seconds: float) -> None:
    """C3 of the console: Live, while events come."""
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{node.port}/console/")
    tools = context.new_cdp_session(page)
    tools.send("Performance.enable")
    loading = Thread(
        target=lambda: asyncio.run(pace(node.port, rate, seconds + 5, request_of, 1_000_000))
    )
    loading.start()
    page.wait_for_timeout(4_000)
    before, began = _metrics(tools), time.perf_counter()
    page.wait_for_timeout(seconds * 1000)
    after, took = _metrics(tools), time.perf_counter() - began
    clicked = page.evaluate("""() => new Promise((done) => {
        const button = document.getElementById('pause'), began = performance.now();
        button.click();
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
    })""")
    paused = page.get_attribute("#pause", "aria-pressed")
    loading.join()
    busy = after["TaskDuration"] - before["TaskDuration"]
    heap = after["JSHeapUsedSize"] / before["JSHeapUsedSize"]
    parts = {
        name: after[f"{name}Duration"] - before[f"{name}Duration"]
        for name in ("Script", "Layout", "RecalcStyle")
    }
    told = ", ".join(f"{name} {spent / took:.0%}" for name, spent in parts.items())
    print(f"main thread {busy / took:.0%} of a core (at most 50 %): {told}")
    print(f"heap {heap:.2f} times (at most 1.10), {page.locator('#rows tr').count()} rows")
    print(f"Pause ({paused}) after {clicked:.0f} ms (at most 200)")
    page.close()


def _metrics(tools: Any) -> dict[str, float]:
    tools.send("HeapProfiler.collectGarbage")
    return {each["name"]: each["value"] for each in tools.send("Performance.getMetrics")["metrics"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=300)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        print("needs Chromium, as the Debian package `chromium`")
        return 1
    with ExitStack() as stack:
        node = watched(stack)
        asyncio.run(pace(node.port, 200, 2, request_of, 10))
        time.sleep(3)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        context = signed_in(browser, node)
        print(environment())
        paints(context, node, options.rounds)
        watching(context, node, options.rate, options.seconds)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
