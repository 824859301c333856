"""Sums of long spans: kept by the hour, they are those of the rows."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from admission.console import EVER, Api
from ringback.console import figures, sums
from ringback.console.counting import Counting
from ringback.store.queries.questions import Questions

EXACT = {"since": EVER, "until": "2999-01-01T00:00Z"}


@pytest.fixture(scope="module")
def counting(project: Path) -> Iterator[Counting]:
    found = Counting(project / "data", every=0.01, rest=0)
    found.start()
    assert found.ready.wait(20)
    yield found
    found.close()


@pytest.fixture(scope="module")
def summing(project: Path, counting: Counting) -> Iterator[Api]:
    found = Api(project, "admin", unmasked=True)
    found.app.state.console = replace(found.app.state.console, counting=counting)
    yield found
    found.close()


def _plain(groups: list[dict[str, object]]) -> list[dict[str, object]]:
    """Without times of delivery, which are kept by steps, and the order of equals."""
    left = ("p50", "p90", "p99")
    rows = [{k: v for k, v in each.items() if k not in left} for each in groups]
    return sorted(rows, key=str)


@pytest.mark.parametrize(
    "query",
    [
        {"by": "all"}, {"by": "sender,country"}, {"by": "line_type", "grain": "day"},
        {"by": "sender", "grain": "hour"}, {"by": "rule", "country": "GB"}, {"rule": "hours"},
    ],
    ids=str,
)  # fmt: skip
async def test_sums_of_texts_are_those_of_the_rows(
    api: Api, summing: Api, monkeypatch: pytest.MonkeyPatch, query: dict[str, str]
) -> None:
    rows = (await api.get("/delivery", **EXACT, **query))["items"]
    monkeypatch.setattr(sums, "FEW", dict.fromkeys(sums.FEW, 0))
    found = (await summing.get("/delivery", **EXACT, **query))["items"]
    assert rows
    assert _plain(found) == _plain(rows)
    for each, row in zip(sorted(found, key=str), sorted(rows, key=str), strict=True):
        assert (each["p99"] is None) == (row["p99"] is None)
        assert row["p99"] is None or row["p99"] <= each["p99"]


@pytest.mark.parametrize("by", ["code", "class", "code,country", "sender,rule", "hour"])
async def test_sums_of_failures_are_those_of_the_rows(
    api: Api, summing: Api, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    rows = (await api.get("/failures", **EXACT, by=by))["items"]
    monkeypatch.setattr(sums, "FEW", dict.fromkeys(sums.FEW, 0))
    assert rows
    assert (await summing.get("/failures", **EXACT, by=by))["items"] == rows
    page = await summing.client.get("http://node/console/failures/30003", params=EXACT)
    assert '<h2 id="rows">1 failure</h2>' in page.text
    for path in ("/console/failures", "/console/delivery", "/console/delivery/texts"):
        assert (await summing.client.get(f"http://node{path}", params=EXACT)).status_code == 200


@pytest.mark.parametrize("by", ["rule", "sender"])
async def test_sums_of_costs_are_those_of_the_rows(
    api: Api, summing: Api, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    rows = await api.get("/costs", since=EVER, by=by)
    assert len(rows["items"]) > 1
    monkeypatch.setattr(sums, "FEW", dict.fromkeys(sums.FEW, 0))
    monkeypatch.setattr(figures, "READ", 2)
    found = await summing.get("/costs", since=EVER, by=by)
    assert (found["items"], found["looked_back_to"]) == (rows["items"], None)
    assert (await api.get("/costs", since=EVER, by=by))["items"] != rows["items"]
    page = await summing.client.get("http://node/console/costs", params={"since": EVER})
    assert "Only the newest" not in page.text


@pytest.mark.parametrize("path", ["/console/delivery", "/console/failures/30003", "/console/costs"])
async def test_no_rows_are_read_where_the_digest_has_the_answer(
    summing: Api, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """But for a sample, and for a list no more than it shows."""
    limits: list[int] = []

    def noted(name: str) -> None:
        real = getattr(Questions, name)

        def read(asked: Questions, since: object, limit: int, *more: object) -> object:
            limits.append(limit)
            return real(asked, since, limit, *more)

        monkeypatch.setattr(Questions, name, read)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("texts are read one by one")

    noted("failures")
    noted("left_since")
    monkeypatch.setattr(Questions, "newest_texts", never)
    monkeypatch.setattr(sums, "FEW", dict.fromkeys(sums.FEW, 0))
    page = await summing.client.get(f"http://node{path}", params={"since": EVER})
    assert page.status_code == 200, page.text
    assert all(limit <= figures.SAMPLE + 1 for limit in limits)


async def test_a_list_of_an_hour_or_a_day_is_read_from_there(
    summing: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much came later: of the newest rows none is of that hour."""
    monkeypatch.setattr(figures, "READ", 3)
    hours = (await summing.get("/delivery", **EXACT, by="all", grain="hour"))["items"]
    for word, text in (("hour", hours[0]["hour"]), ("day", hours[0]["hour"][:10])):
        query = {**EXACT, "step": "delivered", word: text}
        page = await summing.client.get("http://node/console/delivery/texts", params=query)
        assert f'<p class="lead">{hours[0]["delivered"]} text' in page.text
        query[word] = "1999-01-01" + ("T00:00Z" if word == "hour" else "")
        page = await summing.client.get("http://node/console/delivery/texts", params=query)
        assert "No text fits" in page.text
        query[word] = "noon"
        page = await summing.client.get("http://node/console/delivery/texts", params=query)
        assert page.status_code == 400
