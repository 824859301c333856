"""Pages of the manual as HTML, made from their Markdown, for the help of the console.

HTML in a page is shown as text, styles are left out, links between pages lead to help, and pictures
are their descriptions: what is served is the manual alone.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from ringback.manual_folder import manual

if TYPE_CHECKING:
    from markdown_it.token import Token

HELP = "/console/help"
_NAME = re.compile(r"[a-z]+")
_ODD = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class ManualPage:
    """One page: its name, its title, its text as HTML, and the ids of its headings."""

    name: str
    title: str
    html: Markup
    ids: tuple[str, ...]


def names() -> list[tuple[str, str]]:
    """The pages of the manual, each with its title, that of the index first."""
    found = [(path.stem, _title(path)) for path in sorted(manual().glob("*.md"))]
    return sorted(found, key=lambda each: each[0] != "index")


def page(name: str) -> ManualPage | None:
    """A page of this name; None when there is none."""
    path = manual() / f"{name}.md"
    return _made(path) if _NAME.fullmatch(name) and path.is_file() else None


@lru_cache(maxsize=64)
def _made(path: Path) -> ManualPage:
    from markdown_it import MarkdownIt  # most consoles are never asked for help

    made = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = made.parse(path.read_text("utf-8"))
    ids = tuple(_changed(tokens))
    return ManualPage(
        path.stem, _title(path), Markup(made.renderer.render(tokens, made.options, {})), ids
    )


def _changed(tokens: "list[Token]") -> list[str]:
    """Give headings their ids, and change what the pages of the console must not hold."""
    ids: list[str] = []
    seen: Counter[str] = Counter()
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            name = slug(tokens[place + 1].content)
            ids.append(f"{name}-{seen[name]}" if seen[name] else name)  # as GitHub tells them apart
            seen[name] += 1
            token.attrSet("id", ids[-1])
        if token.type in ("th_open", "td_open") and token.attrGet("style"):
            token.attrs.pop("style")
            token.attrSet("class", "figure")
        if token.type == "inline" and token.children:
            token.children = _inline(token.children)
    return ids


def _inline(children: "list[Token]") -> "list[Token]":
    found = []
    for child in children:
        if child.type == "link_open":
            child.attrSet("href", link(str(child.attrGet("href") or "")))
            if child.attrs["href"].startswith("http"):  # type: ignore[union-attr]
                child.attrSet("rel", "noreferrer noopener")
        if child.type == "image":
            child.type = "text"
        found.append(child)
    return found


def link(target: str) -> str:
    """Where a link of the manual leads in the console."""
    file, _, heading = target.partition("#")
    if target.startswith(("http://", "https://", "#")):
        return target
    if re.fullmatch(r"[a-z]+\.md", file):
        return f"{HELP}/{file.removesuffix('.md')}{'#' if heading else ''}{heading}"
    return f"{HELP}/index"


def slug(heading: str) -> str:
    """The id of a heading, as the links of the manual name it."""
    return _ODD.sub("", heading.replace("`", "").lower()).replace(" ", "-")


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        return lines.readline().strip("# \n")
