"""Reports of problems, for people, for programs and for GitHub."""

from collections.abc import Sequence

from ringback.errors import Problem
from ringback.printed_json import printed_json

FORMS = ("text", "json", "github")
_WIDEST = 160


def render(problems: Sequence[Problem], form: str = "text") -> str:
    """All problems in one text, without a newline at its end.

    `text` shows each with its line and a caret, `json` is a list of objects, `github` are workflow
    commands that GitHub shows beside the line. Raises ValueError for another form.
    """
    if form == "json":
        return printed_json([_record(problem) for problem in problems], indent=2)
    if form == "github":
        return "\n".join(map(_annotation, problems))
    if form == "text":
        return "\n".join(map(_shown, problems))
    raise ValueError(f"unknown form {form!r}: use one of {', '.join(FORMS)}")


def _shown(problem: Problem) -> str:
    if not problem.line or not problem.source.strip():
        return str(problem)
    start = max(0, problem.column - _WIDEST // 2) if problem.column > _WIDEST else 0
    line = problem.source[start : start + _WIDEST].rstrip()
    before = line[: max(0, problem.column - 1 - start)]
    # Tabs stay tabs, so that the caret stands under its letter at any width of tab.
    space = "".join("\t" if letter == "\t" else " " for letter in before)
    space += " " * max(0, problem.column - 1 - start - len(before))
    return f"{problem}\n  {line}\n  {space}^"


def _record(problem: Problem) -> dict[str, str | int]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "kind": problem.kind,
        "message": problem.message,
        "hint": problem.hint,
        "source": problem.source,
    }


def _annotation(problem: Problem) -> str:
    """A problem as an annotation of GitHub Actions.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    place = f"file={_escaped(problem.file, ',:')}"
    if problem.line:
        place += f",line={problem.line},col={max(1, problem.column)}"
    text = problem.message + (f"; {problem.hint}" if problem.hint else "")
    return f"::error {place},title={_escaped(problem.kind, ',:')}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    for letter in "%\r\n" + more:
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text
