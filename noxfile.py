"""Tasks of the project: `nox -s lint types test`, each in an environment of its own.

`nox --list` names them all. `nox --no-venv` uses the environment that is active, as `.ci/run` does.
What follows `--` goes to the command: `nox -s test -- tests/unit -x`.
"""

import nox

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "types", "test"]
nox.options.error_on_missing_interpreters = True

CONSTRAINTS = "constraints.txt"
CODE = ("engine", "plugins", "tests", "benchmarks", "noxfile.py")
UNIT = ("tests/unit", "tests/plugins")
BROWSER = ("tests/browser",)
DOCS = ("tests/unit", "-k", "docs or guide or architecture or questions")


def ready(session: nox.Session) -> None:
    """Install the project with the versions that are known to work, unless the environment that is
    active is used."""
    if session.virtualenv.is_sandboxed:
        session.install("-e", ".[test,dev]", "-c", CONSTRAINTS)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, spelling and the layers of the imports."""
    ready(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", *CODE)
    session.run("codespell")
    session.run("lint-imports", "--no-cache")


@nox.session
def types(session: nox.Session) -> None:
    """Strict types."""
    ready(session)
    session.run("mypy")


@nox.session
def test(session: nox.Session) -> None:
    """The tests that a change must pass; the command of the README."""
    ready(session)
    session.run("pytest", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """The tests that take minutes."""
    ready(session)
    session.run(
        *("pytest", "-m", "slow", "--timeout", "900", "--durations=20"),
        *session.posargs,
        success_codes=[0, 5],  # 5: there was none to run
    )


@nox.session
def browser(session: nox.Session) -> None:
    """The tests of the console in a real browser, which is Chromium of this machine."""
    if session.virtualenv.is_sandboxed:
        session.install("-e", ".[test,browser]", "-c", CONSTRAINTS)
    session.run("pytest", "-m", "browser", "-n", "0", "--durations=10", *BROWSER, *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The tests that hold the manual against the code."""
    ready(session)
    session.run("pytest", *(session.posargs or DOCS))


@nox.session
def bench(session: nox.Session) -> None:
    """A short run of the benchmarks of ingest, match and reaction."""
    ready(session)
    for name in session.posargs or ("ingest", "match", "reaction"):
        session.run("python", f"benchmarks/{name}.py")


@nox.session
def coverage(session: nox.Session) -> None:
    """Which lines the tests run in their own process; fails below what pyproject.toml names."""
    ready(session)
    session.run("pytest", "--cov", "--cov-report=term:skip-covered", *session.posargs)


@nox.session
def newest(session: nox.Session) -> None:
    """The unit tests with the newest release of everything."""
    session.install("--upgrade", "-e", ".[test]")
    session.run("pytest", *(session.posargs or UNIT))


@nox.session
def lowest(session: nox.Session) -> None:
    """The unit tests with the lowest versions that pyproject.toml declares."""
    session.install("uv")
    into = {"VIRTUAL_ENV": str(session.virtualenv.location)}
    install = "uv pip install --resolution lowest-direct -e .[test]"
    session.run(*install.split(), env=into)
    session.run("pytest", *(session.posargs or UNIT))


@nox.session
def constraints(session: nox.Session) -> None:
    """Write constraints.txt anew: the newest versions of today, for each Python and platform."""
    session.install("uv")
    choose = "uv pip compile --quiet --universal --upgrade --all-extras --python-version 3.11"
    shape = "--no-annotate --no-emit-index-url --no-emit-package pip"
    session.run(
        *choose.split(),
        *shape.split(),
        "--custom-compile-command=nox -s constraints",
        f"--output-file={CONSTRAINTS}",
        "pyproject.toml",
    )
