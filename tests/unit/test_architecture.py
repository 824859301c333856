"""Tests of the structure: layers, import circles, module names, sizes, light imports, the wheel."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CI = (ROOT / ".ci" / "run").read_text("utf-8")
ENGINE = ROOT / "engine" / "ringback"

LONGEST = 400
LONGER: dict[str, str] = {}
"""Files that may be longer than 400 lines, each with its reason."""

HEAVY = (
    "aiohttp", "aiosqlite", "cel_expr_python", "click", "httpx", "phonenumbers", "pluggy",
    "prometheus_client", "pydantic", "rich", "sqlite3", "sqlite_utils", "starlette", "twilio",
    "uvicorn", "yaml",
)  # fmt: skip


def tracked() -> list[Path]:
    """The files of this repository, as git knows them."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_layers_hold() -> None:
    """No lower layer imports a higher one, and each outside library is used where it belongs."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_stay_short() -> None:
    """A file that grows past 400 lines wants a split or a reason."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
        for folder in ("engine", "plugins")
        for path in (ROOT / folder).rglob("*.py")
    }
    long = {name for name, length in lengths.items() if length > LONGEST}
    assert long == set(LONGER)


def test_engine_is_a_source_root() -> None:
    """engine/ is never a package itself, and holds one package."""
    assert not (ROOT / "engine" / "__init__.py").exists()
    assert [path.parent.name for path in (ROOT / "engine").glob("*/__init__.py")] == ["ringback"]


def test_a_package_s_init_is_its_docstring() -> None:
    """The `__init__` of a package imports nothing; only the two that authors import from do."""
    for init in ENGINE.glob("*/**/__init__.py"):
        text = init.read_text("utf-8").strip()
        assert text.startswith('"""'), init
        if init.parent.name == "testing":
            continue  # what tests of plugins import from, as light as `ringback` itself
        assert not re.search(r"^(from|import) ", text, re.M), init


def modules() -> dict[str, Path]:
    """The modules of the package by dotted name."""
    found = {}
    for path in ENGINE.rglob("*.py"):
        parts = path.relative_to(ENGINE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def imports() -> dict[str, set[str]]:
    """What each module imports of the package, inside functions and under TYPE_CHECKING too."""
    known = modules()
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        wanted = graph[name] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                source = node.module or ""
                assert node.level == 0, f"{path}: a relative import"
                whole = [f"{source}.{alias.name}" for alias in node.names]
                wanted |= {full if full in known else source for full in whole}
        wanted &= known.keys() - {name}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected parts of more than one node (Tarjan's algorithm)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in order:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == order[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


@pytest.mark.slow
def test_no_import_circle() -> None:
    """No module imports itself through others, whenever and for whatever the import is made."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]
    assert circles(imports()) == []


TWINS = {
    "actions": "the type, its table, the command that lists them",
    "backtest": "a backtest and its command",
    "calls": "a call as its two people see it: the control API and the REST API",
    "conferences": "a resource of the REST API and what it shows",
    "config": "the settings and the command that shows them",
    "connections": "Maton's connections and their command",
    "consent": "Twilio's rules of consent and the simulator that plays them",
    "control": "the two ends of a worker's socket",
    "credentials": "who sends a password and who asks for it",
    "error_codes": "the catalogue, and its name beside the rest of Twilio's dialect",
    "events": "the type, its table, its maker in tests, the command that lists them",
    "explain": "why a webhook was refused, and the command that explains an error",
    "incidents": "an incident and its table",
    "listed": "the list of the pages, and that of the resources of the API",
    "main": "the entry points of processes",
    "queues": "a resource of the REST API and what it shows",
    "records": "Twilio's records as they are written and as they are read",
    "retention": "when old rows go and the SQL that removes them",
    "runs": "the runs of the journal, those of a bench, the command that lists them",
    "streams": "Event Streams as they are written and as they are read",
    "twiml": "TwiML as it is written and as it is read",
    "verbs": "voice verbs and the simulator that carries them out",
}
"""Names that modules of packages which import each other share, as ends of one thing."""

QUESTION = re.compile(
    r"(What|Whatever|Who|Whom|Whose|When|Where|Which|How|Why|Whether|Does|Is|Are|May|Did|From)\b"
)
METAPHOR = re.compile(
    r"\b(house|rooms?|doors?|hands|hatch|wish(es|ed)?|gone|(un)?told|lanes?|letters?|shop|ears?"
    r"|mischief|dice|moods?|spine)\b",
    re.IGNORECASE,
)


def package_of(name: str, known: dict[str, Path]) -> str:
    """The package that a module belongs to; a package's own module belongs to it."""
    return name if known[name].name == "__init__.py" else name.rpartition(".")[0]


def test_modules_of_neighbours_have_names_of_their_own() -> None:
    """Packages of which one imports the other share a module's name only for ends of one thing."""
    known = modules()
    leaves: dict[str, set[str]] = {}
    for name, path in known.items():
        if path.name not in ("__init__.py", "__main__.py"):
            leaves.setdefault(package_of(name, known), set()).add(path.stem)
    neighbours = {
        (package_of(name, known), package_of(other, known))
        for name, others in imports().items()
        for other in others
    }
    shared = {
        leaf
        for one, other in neighbours
        if one != other
        for leaf in leaves.get(one, set()) & leaves.get(other, set())
    }
    assert shared <= set(TWINS)


def test_folders_stay_small() -> None:
    """A folder of the worker or of the rules has at most 12 modules, one of the store 24."""
    sizes: dict[str, int] = {}
    for path in ENGINE.rglob("*.py"):
        if path.name != "__init__.py":
            folder = str(path.parent.relative_to(ENGINE))
            sizes[folder] = sizes.get(folder, 0) + 1
    limits = {"worker": 12, "rules": 12, "store": 24}
    crowded = {
        folder: size
        for folder, size in sizes.items()
        if size > limits.get(folder.partition("/")[0], size)
    }
    assert crowded == {}


DATABASE = re.compile(
    r"sqlite3|\bConnection\b|(journal|database|store|log)\.(_?reader|_?connection|_?database)\b"
)
"""What means a database: its module, a connection to it, or the inside of a noun of the store."""


def test_no_database_is_seen_outside_the_store() -> None:
    """Outside store/ there are the methods of its nouns: no connection, no reader, no SQL's module.
    The `Connection` that cli/ shows is a record of Maton's."""
    wrong = []
    for name in ("worker", "cli", "testing", "receiver", "plugins", "project.py"):
        for path in [ENGINE / name] if name.endswith(".py") else (ENGINE / name).rglob("*.py"):
            text = path.read_text("utf-8")
            if "from ringback.gateway.records import Connection" in text:
                text = re.sub(r"\bConnection\b", "", text)
            text = re.sub(r"Maton-Connection", "", text)
            wrong += [f"{path.name}: {found.group()}" for found in DATABASE.finditer(text)]
    assert wrong == []


def test_first_lines_say_what_a_module_is() -> None:
    """The first line of every module is a noun phrase in the field's words."""
    wrong = []
    for path in tracked():
        if path.suffix != ".py":
            continue
        before, _, rest = path.read_text("utf-8").partition('"""')
        doc = "" if before else rest.partition('"""')[0].strip()
        first, paragraph = doc.partition("\n")[0], doc.partition("\n\n")[0]
        if not first or "?" in paragraph or QUESTION.match(first) or METAPHOR.search(first):
            wrong.append(f"{path.relative_to(ROOT)}: {first}")
    assert wrong == []


@pytest.mark.parametrize("package", ["ringback", "ringback.testing"])
def test_what_authors_import_is_light(package: str) -> None:
    """`import ringback` loads none of the heavy libraries."""
    code = f"import sys, {package}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert package in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        # What starts the process of the plugins, which imports the rest at the same time.
        ("ringback.cli.hosted", ("pydantic", "yaml", "sqlite_utils", "ringback.plugins.loader")),
        ("ringback.cli.checked_import", ("pydantic", "yaml", "ringback.plugins.loader")),
        ("ringback.worker.hosts.server_link", ("pydantic", "yaml", "ringback.plugins.loader")),
        # What that process needs.
        ("ringback.store.facts", ("sqlite_utils", "pydantic")),
        ("ringback.worker.hosts.process.forkserver", ("sqlite_utils", "aiohttp", "starlette")),
        # What only traces need, which are off unless a variable asks for them.
        pytest.param(
            "ringback.worker.service, ringback.receiver.server",
            ("opentelemetry", "requests"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_start_imports_what_it_needs(module: str, absent: tuple[str, ...]) -> None:
    """Each library here costs a twentieth of a second, at each start of a command."""
    code = f"import sys, {module}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint(absent)


def test_the_wheel_holds_the_package_alone(tmp_path: Path) -> None:
    """A built wheel has ringback/ with its data, the starter files, and nothing beside it."""
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"ringback"}
    for wanted in (
        "ringback/py.typed", "ringback/cli/main.py", "ringback/cli/starter/plugins/auto_reply.py",
        "ringback/error_codes.json",
    ):  # fmt: skip
        assert wanted in names
    assert any(re.fullmatch(r"ringback/cli/starter/rules/\w.*\.yaml", name) for name in names)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".db")]


def test_files_name_no_machine_and_no_registry() -> None:
    """Nothing that is tracked depends on where it was written or where packages come from."""
    patterns = [
        "/" + "work/", "/" + "root/", "/" + "home/" + r"\w", "py" + r"pi\.org",
        "python" + "hosted", r"npm" + r"js\.org", "deb" + r"\.debian", "local" + "host:3141",
    ]  # fmt: skip
    wrong = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        wrong += [
            f"{path.relative_to(ROOT)}: {found.group()}"
            for pattern in patterns
            for found in re.finditer(pattern, text)
        ]
    assert wrong == []


def test_nothing_is_left_for_later() -> None:
    """No stubs and no notes to oneself in what ships."""
    words = re.compile("TO" + r"DO|FIX" + r"ME|XX" + r"X|raise NotImpl" + "ementedError")
    shipped = [*ENGINE.rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    found = [path for path in shipped if words.search(path.read_text("utf-8"))]
    assert found == []


def test_dockerfile_keeps_its_promises() -> None:
    """Two stages, a fixed user without rights, a volume, a health check without extra tools."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    stages = re.findall(r"^FROM (\S+)", text, re.M)
    assert len(stages) == 2
    assert all(stage.startswith("python:3.") and stage.endswith("-slim") for stage in stages)
    assert re.search(r"^USER 10001:10001$", text, re.M)
    assert re.search(r"^VOLUME /data$", text, re.M)
    assert re.search(r"^STOPSIGNAL SIGTERM$", text, re.M)
    assert re.search(r"^HEALTHCHECK .*\"ringback\", .*\"healthcheck\"\]$", text, re.M)
    assert re.search(r'^CMD \["ringback", "serve", "/project"\]$', text, re.M)
    assert "RINGBACK_DATA=/data" in text
    last = text.rpartition("FROM ")[2]
    assert last.index("USER ") < last.index("CMD ")
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M):
        for name in source.split():
            assert (ROOT / name).exists(), name


def test_the_pythons_that_are_named_are_those_that_ci_runs() -> None:
    """The classifiers, the matrix of the workflow, and what .ci/run looks for on its machine."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    named = [found[1] for each in classifiers if (found := re.search(r":: (3\.\d+)$", each))]
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    tested = yaml.safe_load(workflow)["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert named == tested
    (asked,) = re.findall(r"for version in \$\((sed .* pyproject\.toml)\)", CI)
    looked = subprocess.run(["bash", "-c", asked], cwd=ROOT, capture_output=True, text=True)
    assert looked.stdout.split() == named


def test_ci_runs_the_readme_s_own_test_command() -> None:
    """.ci/run takes its test command from the README and is a shell script that parses."""
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(re.findall(r"^pip install .* && pytest$", readme, re.M)) == 1
    assert "grep -m 1 -F '&& pytest' README.md" in CI
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)
