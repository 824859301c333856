"""The public names of `ringback`, and what importing them does not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ringback

HEAVY = (
    "asyncio", "cel_expr_python", "click", "httpx", "pluggy", "pydantic", "re2", "rich", "sqlite3",
    "sqlite_utils", "ssl", "starlette", "twilio", "uvicorn", "yaml",
)  # fmt: skip


def loaded_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    run = [sys.executable, "-c", code]
    return set(subprocess.run(run, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    ("statement", "ours"),
    [
        ("import ringback", {"ringback"}),
        ("import ringback.cli.start", {"ringback", "ringback.cli", "ringback.cli.start"}),
        ("from ringback import PluginError", {"ringback", "ringback.errors"}),
    ],
)
def test_an_import_loads_what_it_names_and_nothing_before(statement: str, ours: set[str]) -> None:
    """The program passes `ringback` before it can end quietly at Ctrl-C, so that loads nothing."""
    loaded = loaded_after(statement) - loaded_after("import sys")
    assert {name for name in loaded if name.startswith("ringback")} == ours
    assert loaded.isdisjoint(HEAVY)
    if "PluginError" not in statement:
        assert loaded == ours


def test_the_light_names_load_no_library() -> None:
    loaded = loaded_after("from ringback import Event, Say, call, reply, send, EVENT_TYPES")
    assert loaded.isdisjoint(HEAVY)


def test_a_name_is_where_types_and_table_say() -> None:
    """One list for type checkers, one for `import *`, one for the lazy way: the same names."""
    tree = ast.parse(Path(ringback.__file__ or "").read_text())
    typed = {
        alias.name: node.module
        for each in tree.body
        if isinstance(each, ast.If)
        for node in each.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == ringback._LATER
    assert sorted(typed) == sorted(ringback.__all__)
    names: dict[str, object] = {}
    exec("from ringback import *", names)
    assert set(ringback.__all__) <= set(names)


def test_a_plugin_that_uses_a_rule_does_not_load_a_server() -> None:
    """`@rule` brings the rule model, but nothing that opens sockets or databases."""
    loaded = loaded_after("from ringback import rule, hookimpl")
    assert loaded.isdisjoint(
        {"aiohttp", "httpx", "starlette", "sqlite_utils", "sqlite3", "uvicorn", "twilio"}
    )


def test_every_public_name_is_there() -> None:
    """`__all__` is true, sorted into what exists, and `dir()` shows the late ones too."""
    for name in ringback.__all__:
        assert getattr(ringback, name) is not None
        assert name in dir(ringback)
    assert len(set(ringback.__all__)) == len(ringback.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A typo in an import fails as Python people know it."""
    with pytest.raises(AttributeError, match="no attribute 'reply_all'"):
        ringback.reply_all  # type: ignore[attr-defined]  # noqa: B018


def test_the_docstring_is_the_architecture_on_one_page() -> None:
    """It names every package that exists, and fits on a screen."""
    text = ringback.__doc__ or ""
    assert 30 <= len(text.splitlines()) <= 45
    root = Path(ringback.__file__ or "").parent
    packages = [path.name for path in root.iterdir() if (path / "__init__.py").is_file()]
    for package in packages:
        assert package in text


def test_nothing_inside_imports_the_public_names() -> None:
    """They are for authors of plugins; inside, a module is imported from where it lives."""
    root = Path(ringback.__file__ or "").parent
    modules = {path.stem for path in root.iterdir()}
    for path in root.rglob("*.py"):
        if "starter" in path.parts or path == root / "__init__.py":
            continue
        text = path.read_text("utf-8")
        if "from ringback import" not in text and "import ringback" not in text:
            continue  # reading all of them as Python takes seconds
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                outside = node.module == "ringback" and not node.level
                assert not outside or {alias.name for alias in node.names} <= modules, path
            if isinstance(node, ast.Import):
                assert all(alias.name != "ringback" for alias in node.names), path
