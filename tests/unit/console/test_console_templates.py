"""Templates and scripts of the console: what they must not hold, and how large they may be."""

import re
from pathlib import Path

import ringback.console
from ringback.console.static_files import ENTRY, joined

ROOT = Path(ringback.console.__file__).parent
TEMPLATES = sorted((ROOT / "templates").glob("*.html"))
SCRIPTS = sorted((ROOT / "static").glob("*.js"))


def test_templates_hold_nothing_that_the_policy_refuses() -> None:
    """No inline script or style, no handler, nothing from elsewhere, and no way around escaping."""
    banned = re.compile(
        r"\|\s*safe\b|Markup|autoescape|\sstyle=|\son\w+=|<style|<script(?![^>]*src=)|https?://"
    )
    assert len(TEMPLATES) > 8
    found = [f"{path.name}: {hit.group()}" for path in TEMPLATES
             for hit in banned.finditer(path.read_text("utf-8"))]  # fmt: skip
    assert found == []


def test_scripts_make_html_in_one_place() -> None:
    """innerHTML and the like stand in dom.js alone, behind the policy."""
    banned = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|setHTML|"
        r"createContextualFragment|srcdoc|\beval\b|new Function|https?://"
    )
    found = {path.name for path in SCRIPTS if banned.search(path.read_text("utf-8"))}
    assert found == {"dom.js"}
    assert (ROOT / "static" / "dom.js").read_text("utf-8").count("innerHTML") == 1


def test_static_files_stay_small() -> None:
    """24 kB of style, 30 kB of scripts, as they are."""
    assert sum(len(path.read_bytes()) for path in ROOT.glob("static/*.css")) <= 24_000
    assert sum(len(path.read_bytes()) for path in SCRIPTS) <= 30_000


def test_the_script_that_is_served_holds_every_module_once() -> None:
    """None is left out, and nothing is asked for by itself."""
    served = joined({path.name: path.read_bytes() for path in SCRIPTS}).decode()
    assert not re.search(r"^(import|export)\b", served, re.MULTILINE)
    for path in SCRIPTS:
        if path.name != ENTRY:
            line = max(path.read_text("utf-8").splitlines(), key=len)
            assert served.count(line.removeprefix("export ")) == 1, path.name
