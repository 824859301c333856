"""Help from the manual, views that people keep, and the look that they choose."""

import re
from pathlib import Path

import pytest

from ringback.console import manual_pages
from ringback.console.manual_pages import HELP
from ringback.console.pages.help_pages import ABOUT, about
from ringback.console.pages.listed import PAGES
from unit.console.conftest import SAME, Board

DOCS = sorted(path.stem for path in (Path(__file__).parents[3] / "docs").glob("*.md"))


@pytest.mark.parametrize("name", DOCS)
def test_every_page_of_the_manual_is_shown_without_what_the_policy_refuses(name: str) -> None:
    """No style, no script, no picture; every link inside leads to a page and a heading."""
    found = manual_pages.page(name)
    assert found is not None
    assert len(set(found.ids)) == len(found.ids)
    assert not re.search(r"<[^>]*\s(style|on\w+)=|<(script|img|style|iframe)\b", found.html)
    for target in re.findall(r'href="([^"]+)"', found.html):
        if target.startswith("http"):
            continue
        path, _, heading = target.partition("#")
        other = manual_pages.page(path.removeprefix(f"{HELP}/")) if path else found
        assert other is not None, target
        assert not heading or heading in other.ids, target


def test_every_page_of_the_console_has_its_help() -> None:
    for target in (about(page.path) for page in PAGES):
        name, _, heading = target.removeprefix(f"{HELP}/").partition("#")
        found = manual_pages.page(name)
        assert found is not None
        assert not heading or heading in found.ids, target
    assert about("/console/rules/hours") == f"{HELP}/{ABOUT['/console/rules']}"
    assert about("/console/settings/channels/x/test") == f"{HELP}/channels"


def test_the_manual_names_every_page_and_every_key() -> None:
    """F3: by their titles, and in the table of the keys."""
    root = Path(__file__).parents[3]
    text = (root / "docs" / "console.md").read_text("utf-8")
    table = text.partition("## Keys\n")[2].partition("\n## ")[0]
    for page in PAGES:
        if page.nav:
            assert page.path == "/console/" or page.path in text, page.nav
            assert f"`{page.key}` " in table, page.nav
    script = (root / "engine/ringback/console/static/keys.js").read_text("utf-8")
    deeds = script.partition("const deeds = {")[2].partition("};")[0]
    names = {"Escape": "Esc"}
    keys = [key.strip('"') for key in re.findall(r"^  (\w+|\".\"):? ?[:,]", deeds, re.M)]
    assert len(keys) > 10
    for key in keys:
        assert f"`{names.get(key, key)}`" in table, key


@pytest.mark.parametrize("name", ["../pyproject", "Index", "nothing", ".", "a/b"])
def test_nothing_else_is_shown(name: str) -> None:
    assert manual_pages.page(name) is None


async def test_html_in_the_manual_is_text(board: Board, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    text = "# T\n\n<script>x</script> [a](javascript:x) [b](../b.md) ![c](c.png)\n"
    (tmp_path / "odd.md").write_text(text)
    monkeypatch.setattr(manual_pages, "manual", lambda: tmp_path)
    found = manual_pages.page("odd")
    assert found is not None
    assert "<script" not in found.html
    assert 'href="javascript' not in found.html
    assert f'href="{HELP}/index"' in found.html
    await board.sign_in()
    assert (await board.client.get(f"{HELP}/odd")).status_code == 200
    assert (await board.client.get(f"{HELP}/nothing")).status_code == 404


async def test_a_view_is_kept_for_oneself_and_forgotten(board: Board) -> None:
    """Also by somebody who may only read; it never leads elsewhere."""
    await board.sign_in("rita", "a long password")
    path = "/console/?type=message.received"
    fields = await board.form(path, "/console/views")
    saved = {**fields, "where": path, "name": "texts <b>"}
    done = await board.client.post("/console/views", data=saved, headers=SAME)
    assert done.headers["location"] == path
    page = (await board.client.get("/console/")).text
    assert f'<li><a href="{path}">' in page
    assert "texts &lt;b&gt;" in page
    evil = {**saved, "where": "https://evil.example/", "name": "evil"}
    await board.client.post("/console/views", data=evil, headers=SAME)
    assert "evil.example" not in (await board.client.get("/console/")).text
    assert {each["query"] for each in board.entry.access.views("rita")} == {path, "/console/"}
    assert board.entry.access.views("ole") == []
    bare = {**saved, "name": ""}
    assert (await board.client.post("/console/views", data=bare, headers=SAME)).status_code == 400
    gone = {**saved, "do": "forget"}
    await board.client.post("/console/views", data=gone, headers=SAME)
    assert [each["name"] for each in board.entry.access.views("rita")] == ["evil"]


async def test_a_look_is_chosen_one_by_one(board: Board) -> None:
    """Close rows do not undo the dark; what is not known is not taken."""
    await board.sign_in("rita", "a long password")
    for choice in ({"theme": "dark"}, {"density": "close"}, {"keys": "off"}, {"theme": "pink<"}):
        fields = await board.form("/console/", "/console/look")
        data = {name: fields[name] for name in ("request", "token", "next")} | choice
        await board.client.post("/console/look", data=data, headers=SAME)
        page = (await board.client.get("/console/")).text
        assert ("data-theme" in page) == ("dark" in str(choice) or "pink" not in str(choice))
    assert 'data-density="close"' in page
    assert "<body>" in page  # without data-keys
    assert "pink" not in page
