"""Source locations in a plugin, for problems that point a person at the line."""

import inspect
import linecache
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ringback.errors import Problem


def problem_at(
    file: str, line: int, column: int, kind: str, message: str, hint: str = ""
) -> Problem:
    """A problem with the source text of its line, so that it can be shown with a caret."""
    linecache.checkcache(file)
    source = linecache.getline(file, line).rstrip("\n") if line else ""
    return Problem(file, line, column, kind, message, source, hint)


def problem_in(
    function: Callable[..., Any], kind: str, message: str, *, hint: str = "", parameter: str = ""
) -> Problem:
    """A problem with a function: it points at the function's name, or at one of its parameters."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return Problem(getattr(function, "__module__", "?"), 0, 0, kind, message, "", hint)
    line, column = _definition(code.co_filename, code.co_firstlineno, code.co_name)
    if parameter:
        line, column = _word(code.co_filename, line, column, parameter)
    return problem_at(code.co_filename, line, column, kind, message, hint)


def problem_from(error: BaseException, kind: str, folder: Path, fallback: Path) -> Problem:
    """A problem from an exception: it points at the last line inside the plugin folder.

    A syntax error points at itself. When no frame is in the folder (the module could not even be
    read), the problem names the file `fallback`.
    """
    if isinstance(error, SyntaxError) and error.filename:
        message = error.msg or "invalid syntax"
        source = (error.text or "").rstrip("\n")
        line, column = error.lineno or 0, max(error.offset or 1, 1)
        return Problem(error.filename, line, column, "syntax", message, source)
    message = _summary(error)
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    if not inside:
        return Problem(str(fallback), 0, 0, kind, message)
    last = inside[-1]
    return problem_at(last.filename, last.lineno or 0, (last.colno or 0) + 1, kind, message)


def _summary(error: BaseException) -> str:
    lines = traceback.format_exception_only(error)
    return lines[-1].strip() if lines else type(error).__name__


def _definition(file: str, first: int, name: str) -> tuple[int, int]:
    """Line and column of a function's name, below its decorators."""
    pattern = re.compile(rf"\bdef\s+({re.escape(name)})\b")
    for line in range(first, first + 60):
        found = pattern.search(linecache.getline(file, line))
        if found:
            return line, found.start(1) + 1
    return first, 1


def _word(file: str, line: int, column: int, word: str) -> tuple[int, int]:
    """Line and column of a parameter, from the function's name on."""
    pattern = re.compile(rf"\b{re.escape(word)}\b")
    start = column + 1
    for number in range(line, line + 30):
        found = pattern.search(linecache.getline(file, number), start - 1)
        if found:
            return number, found.start() + 1
        start = 1
    return line, column
