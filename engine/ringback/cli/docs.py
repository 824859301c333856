"""The command `docs`: the manual as Markdown, from the wheel or from a checkout.

A page is named by its file name without the ending. On a terminal it is laid out and opened in the
pager; elsewhere it is printed as it is written, so that it can be searched and piped.
"""

from difflib import get_close_matches
from pathlib import Path

import click

from ringback.cli.output import fancy, json_option, print_rows
from ringback.errors import RingbackError
from ringback.manual_folder import manual


@click.command()
@click.argument("page", required=False)
@click.option("--path", "as_path", is_flag=True, help="Print where the page or the manual is.")
@json_option
def docs(page: str | None, as_path: bool, as_json: bool) -> None:
    """Open a PAGE of the manual, or list its pages."""
    pages = {path.stem: path for path in sorted(manual().glob("*.md"))}
    if not pages:
        raise RingbackError(
            f"the manual is missing: no pages in {manual()}; install ringback again"
        )
    if page is None and as_path:
        click.echo(manual())
    elif page is None:
        rows = [{"page": name, "title": _title(path)} for name, path in pages.items()]
        print_rows(rows, ["page", "title"], as_json=as_json, empty="no pages")
    elif (found := pages.get(page.lower().removesuffix(".md"))) is None:
        raise click.BadParameter(_unknown(page, list(pages)), param_hint="PAGE")
    elif as_path:
        click.echo(found)
    else:
        _show(found.read_text("utf-8"))


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        return lines.readline().strip("# \n")


def _unknown(page: str, known: list[str]) -> str:
    word = page.lower().removesuffix(".md")
    parts = [name for name in known if word and (word in name or name in word)]
    near = list(dict.fromkeys([*parts, *get_close_matches(word, known, 3, 0.6)]))
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known)}"
    return f"the manual has no page {page!r}; {hint}"


def _show(text: str) -> None:
    if not fancy():
        click.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    with console.capture() as captured:
        console.print(Markdown(text), width=min(console.width, 100))
    click.echo_via_pager(captured.get())
