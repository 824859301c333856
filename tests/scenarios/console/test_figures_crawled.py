"""Figures of every page: each leads to a list with as many rows, or is named with the reason."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx
import pytest

from admission.console import Api
from ringback.config import Settings
from ringback.console.counting import Counting

NUMBER = re.compile(r"[\d,]+")
ROW = re.compile(
    r'<tr[^>]*>\s*<td>(?:<input[^>]*> )?<time|<tr id="evt_|<li class="card" id="act_|'
    r"<h3>[^\n]*/health/incidents/"
)
NAMES = re.compile(r"(evt|act|run|con|inc|att|blk|op)_\w+|(?<=/t/)[A-Z]{2}\w+|(?<=/rules/)[\w.-]+")
OF_A_KIND = 4
"""So many pages of one kind are looked at, and of its lists `LISTS`."""
LISTS = 60
WITHOUT_LIST = {
    ("/console/", "Rules"): "how many rules stayed silent: the trace of the row names them",
    ("/console/", "Text"): "what somebody said",
    ("/console/calls", "Left today"): "of one queue: no list is narrowed by a queue",
    ("/console/waiting", "Schedule"): "a cron line",
    ("/console/settings", "Value"): "a setting",
    ("/console/delivery", "Delivered"): "by how long they took: no list is narrowed by that",
    ("/console/failures", "People"): "different people: the list of the group has their numbers",
    ("/console/costs", "Segments"): "a sum, and not a count: the list has the parts of it",
    ("/console/costs/sent", "Segments"): "of one text",
    ("/console/rules/*", "Line"): "the place of a line",
    ("/console/rules/*", "Said no"): "the part of the list behind Silent that this line decided",
    ("/console/rules/*", "Failed"): "the part of the same list on which the line failed",
    ("/console/events/*", "Value"): "a field of the webhook",
    ("/console/health", "Times"): "how often one incident came again",
}
"""Figures that lead to no list: page and column, and why."""
NO_COUNT = {"Code", "When"}
"""Columns whose links are no counts."""


@dataclass
class Cell:
    """A cell of a table: the column that it stands in, its text, and where it leads."""

    column: str
    text: str = ""
    link: str = ""


@dataclass
class Seen:
    """What a page shows: cells of its tables, figures beside them, rows of its lists, and links."""

    cells: list[Cell] = field(default_factory=list)
    bold: list[Cell] = field(default_factory=list)
    rows: int = 0
    links: list[str] = field(default_factory=list)
    after: str = ""


class Reader(HTMLParser):
    """Reads a page into `seen`."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()
        self._heads: list[str] = []
        self._open: list[Cell] = []
        self._bold: Cell | None = None
        self._place, self._body, self._main, self._link, self._day = 0, False, False, "", False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "main":
            self._main = True
        if tag == "a":
            self._link = given.get("href", "")
            self.seen.links.append(self._link)
            if given.get("rel") == "next":
                self.seen.after = self._link
            for cell in self._open[-1:]:
                cell.link = self._link
        if tag == "table":
            self._heads, self._body = [], False
        elif tag == "tbody":
            self._body = True
        elif tag == "tr":
            self._place, self._day = 0, given.get("class") == "day"
            self.seen.rows += self._body and not self._day and self._main
        elif tag in ("td", "th"):
            column = (
                self._heads[self._place] if self._body and self._place < len(self._heads) else ""
            )
            self._open.append(Cell(column))
            self._place += 1
        elif tag in ("b", "strong") and not self._open and self._main:
            self._bold = Cell(tag, link=self._link)
        elif tag == "li" and given.get("id", "").startswith("act_"):
            self.seen.rows += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._link = ""
        elif tag == "main":
            self._main = False
        elif tag in ("td", "th") and self._open:
            cell = self._open.pop()
            cell.text = " ".join(cell.text.split())
            if self._body:
                self.seen.cells.append(cell)
            else:
                self._heads.append(cell.text)
        elif tag in ("b", "strong") and self._bold is not None:
            self.seen.bold.append(self._bold)
            self._bold = None

    def handle_data(self, data: str) -> None:
        for cell in self._open[-1:]:
            cell.text += data
        if self._bold is not None:
            self._bold.text += data


def read(html: str) -> Seen:
    """What a page shows."""
    reader = Reader()
    reader.feed(html)
    return reader.seen


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The console of a shop whose days were played, with all of them counted by the hour."""
    folder = tmp_path_factory.mktemp("demo")
    environ = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) and name != "PORT"
    }  # fmt: skip
    command = [sys.executable, "-m", "ringback.cli.main", "demo", "shop", "--days", "5", "--end"]
    subprocess.run(command, cwd=folder, env=environ, capture_output=True, check=True, timeout=240)
    data = folder / "shop" / "data" / "dev"
    counting = Counting(data, every=3600, rest=0)
    counting.start()
    assert counting.ready.wait(60)
    settings = Settings.load(folder / "shop", {"RINGBACK_DATA": str(data)})
    found = Api(settings, "admin", unmasked=True)
    found.app.state.console = replace(found.app.state.console, counting=counting)
    yield found
    counting.close()
    found.close()


async def got(api: Api, address: str) -> httpx.Response:
    return await api.client.get(httpx.URL(f"http://node{address}"))


async def listed(api: Api, address: str) -> int:
    """How many rows a list has, in all of its parts."""
    rows = 0
    while address:
        answer = await got(api, address)
        assert answer.status_code == 200, (address, answer.text)
        rows += len(ROW.findall(answer.text))
        address = read(answer.text).after
    return rows


async def wrong_on(api: Api, kind: str, page: Seen) -> tuple[int, list[object]]:
    """How many figures of a page lead to their rows, and those that do not."""
    good, wrong = 0, list[object]()
    for cell in page.cells + page.bold:
        figure = cell.text.removeprefix("about ")
        if not NUMBER.fullmatch(figure) or figure == "0" or cell.column in NO_COUNT:
            continue
        if cell.link.startswith("/console"):
            rows = await listed(api, cell.link)
            if rows == int(figure.replace(",", "")):
                good += 1
            else:
                wrong.append((kind, cell.column, figure, cell.link, rows))
        elif (kind, cell.column) not in WITHOUT_LIST and cell.column not in ("b", "strong"):
            wrong.append((kind, cell.column, figure, "leads nowhere"))
    return good, wrong


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_every_figure_leads_to_as_many_rows(shop: Api) -> None:
    """A4, on every page that can be reached from the front page."""
    pages = [page.path for page in shop.app.state.console.pages if page.nav]
    wide = [f"/console/{name}?since=30d" for name in ("delivery", "failures", "costs")]
    todo, seen, kinds = ["/console/", *pages, *wide], set[str](), Counter[str]()
    good, wrong = 0, list[object]()
    while todo:
        address = todo.pop(0)
        kind = NAMES.sub("*", urlsplit(address).path)
        kinds[kind] += address not in seen
        most = LISTS if kind.endswith(("/texts", "/sent")) else OF_A_KIND
        if address in seen or kinds[kind] > most or kind.startswith("/console/help"):
            continue
        seen.add(address)
        answer = await got(shop, address)
        if answer.status_code != 200 or "text/html" not in answer.headers["content-type"]:
            continue
        page = read(answer.text)
        fine, not_fine = await wrong_on(shop, kind, page)
        good, wrong = good + fine, wrong + not_fine
        todo += [link.partition("#")[0] for link in page.links if link.startswith("/console")]
    assert wrong == []
    assert good > 100
    assert len(kinds) > 15
