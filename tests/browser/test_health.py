"""Health of a real node in the browser: what its processes say of themselves, and the doctor."""

from collections.abc import Callable
from typing import Any

import pytest

from browser.conftest import Dev, until

pytestmark = pytest.mark.browser


def test_the_parts_the_lines_and_the_doctor_of_a_node(dev: Dev, browse: Callable[..., Any]) -> None:
    """Its parts are good, each process has lines, the doctor finds it."""
    page = browse("/console/health")
    rows = page.locator("main table").first.locator("tbody tr").all_inner_texts()
    parts = {row.split()[0]: row.split()[1] for row in rows}
    working = ("Receiver", "Worker", "Sending", "Rules", "Disk")
    assert {parts[each] for each in working} == {"●"}
    assert "Counts" in parts
    page.click(".person summary")
    page.click("text=Pause all sending")  # of which the worker writes a line
    page.get_by_role("button", name="Resume").click()
    page.goto(f"{dev.url}/console/health")
    page.click("text=Log lines")

    def many() -> bool:
        page.reload()
        return bool(page.locator("main tbody tr").count() >= 2)

    until(many)
    processes = page.locator("main tbody td:nth-child(3)").all_inner_texts()
    assert "worker" in {each.split()[0] for each in processes}
    assert page.locator(".banner").count() == 0
    # E7: nothing is masked for whoever runs `ringback dev`, and yet there is nothing to mask.
    plain = "".join(each for each in page.locator("main").inner_text() if each.isalnum())
    for canary in (
        "2025550142",
        "5005530003",
        "Whatareyourhours",
        "Weareopenfrom9",
        "Yougetitback",
    ):
        assert canary not in plain, canary
    page.goto(f"{dev.url}/console/health/doctor")
    looks = page.locator("main tbody th").all_inner_texts()
    assert {"node", "gateway"} <= set(looks)
