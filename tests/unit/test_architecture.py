"""The house rules, held by tests: floors, sizes, a light door, a clean wheel, clean files."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "engine" / "ringback"

LONGEST = 400
LONGER: dict[str, str] = {}
"""Files that may be longer than 400 lines, each with its reason."""

HEAVY = (
    "aiosqlite", "cel_expr_python", "click", "httpx", "phonenumbers", "pluggy",
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


def test_floors_hold() -> None:
    """No lower floor imports a higher one, and each outside library has its home."""
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


def test_rooms_say_which_question_they_answer() -> None:
    """Each room's first page is a docstring and nothing else; only the two doors import."""
    for page in ENGINE.glob("*/__init__.py"):
        text = page.read_text("utf-8").strip()
        assert text.startswith('"""'), page
        if page.parent.name == "testing":
            continue  # the door of those who test plugins, as light as the other
        assert not re.search(r"^(from|import) ", text, re.M), page


@pytest.mark.parametrize("door", ["ringback", "ringback.testing"])
def test_the_doors_are_light(door: str) -> None:
    """`import ringback` loads none of the heavy libraries."""
    code = f"import sys, {door}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "ringback.events" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_wheel_holds_the_package_alone(tmp_path: Path) -> None:
    """A built wheel has ringback/ with its data, the starter files, and nothing beside it."""
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    rooms = {name.partition("/")[0] for name in names}
    assert {room for room in rooms if not room.endswith(".dist-info")} == {"ringback"}
    for wanted in (
        "ringback/py.typed", "ringback/cli/main.py", "ringback/cli/starter/plugins/auto_reply.py",
        "ringback/twilio/error_codes.json",
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
    assert re.search(r"^HEALTHCHECK .*urllib\.request.*/healthz", text, re.M)
    assert re.search(r'^CMD \["ringback", "serve", "/project"\]$', text, re.M)
    assert "RINGBACK_DATA=/data" in text
    last = text.rpartition("FROM ")[2]
    assert last.index("USER ") < last.index("CMD ")
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M):
        for name in source.split():
            assert (ROOT / name).exists(), name


def test_ci_runs_the_readme_s_own_test_command() -> None:
    """.ci/run takes its test command from the README and is a shell script that parses."""
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(re.findall(r"^pip install .* && pytest$", readme, re.M)) == 1
    script = ROOT / ".ci" / "run"
    assert "grep -m 1 -F '&& pytest' README.md" in script.read_text("utf-8")
    subprocess.run(["bash", "-n", str(script)], check=True)
