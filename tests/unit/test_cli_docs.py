"""The manual on the command line: from a checkout, from a wheel, on a terminal and in a pipe."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from fnmatch import fnmatch
from pathlib import Path

import pytest

from ringback.cli.main import run

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path for path in (ROOT / "docs").glob("*.md")}
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(path)


def test_the_pages_are_listed_with_their_titles(capsys: pytest.CaptureFixture[str]) -> None:
    """Each page of docs/ is a row: its name and the heading that it begins with."""
    assert run(["docs", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["page"] for row in rows} == set(PAGES)
    for row in rows:
        assert PAGES[row["page"]].read_text("utf-8").startswith(f"# {row['title']}\n")


@pytest.mark.parametrize("name", ["rules", "rules.md", "Rules"])
def test_a_page_in_a_pipe_is_its_markdown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is added and nothing is left out, so that it can be searched and piped."""
    assert run(["docs", name]) == 0
    assert capsys.readouterr().out == PAGES["rules"].read_text("utf-8")


def test_the_path_of_a_page_and_of_the_manual(capsys: pytest.CaptureFixture[str]) -> None:
    """--path prints the file, or the folder without a page."""
    assert run(["docs", "--path"]) == 0
    assert run(["docs", "tables", "--path"]) == 0
    folder, file = map(Path, capsys.readouterr().out.splitlines())
    assert folder.samefile(ROOT / "docs")
    assert file.samefile(PAGES["tables"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("rule", "did you mean rules?"),
        ("config", "did you mean configuration?"),
        ("simulater", "did you mean simulator?"),
        ("zzz", "there are: "),
        ("nonsense", "there are: "),
        ("../README", "there are: "),
    ],
)
def test_an_unknown_page_names_those_near(
    given: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing error ends with 2 and names the mend."""
    assert run(["docs", given]) == 2
    assert said in capsys.readouterr().err


def test_a_terminal_gets_the_pager() -> None:
    """On a terminal the page is laid out and handed to the pager that the environment names."""
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ringback.cli.main", "docs", "channels"]
    environment = {**os.environ, "PAGER": "sed s/^/PAGED:/", "TERM": "xterm", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    running = subprocess.Popen(command, stdin=theirs, stdout=theirs, env=environment)
    os.close(theirs)
    chunks = []
    while chunk := _read(ours):
        chunks.append(chunk)
    os.close(ours)
    assert running.wait() == 0
    lines = b"".join(chunks).decode().splitlines()
    assert lines[0].startswith("PAGED:")
    assert any("Channels" in line for line in lines[:3])
    assert not any(line.startswith("PAGED:#") for line in lines[:3])


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says EIO when the other end is closed
        return b""


def test_help_names_the_manual(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks the program for help learns how the manual is opened."""
    assert run(["--help"]) == 0
    assert "`ringback docs` has the manual" in capsys.readouterr().out


@pytest.mark.slow
def test_the_wheel_carries_the_manual(wheel: Path, tmp_path: Path) -> None:
    """Installed from the wheel, in a folder of its own, the command reads the wheel's pages."""
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    subprocess.run([*install, "--target", str(tmp_path / "site"), str(wheel)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def docs(*words: str) -> str:
        command = [sys.executable, "-m", "ringback.cli.main", "docs", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert docs("rules") == PAGES["rules"].read_text("utf-8")
    assert Path(docs("--path").strip()) == tmp_path / "site" / "ringback" / "manual"
    assert {json.loads(line)["page"] for line in docs("--json").splitlines()} == set(PAGES)


def test_the_metadata_says_whose_it_is_and_what_it_runs_on(wheel: Path) -> None:
    """License file, authors, addresses and versions of Python are in the wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
        licence = archive.read(name.replace("METADATA", "licenses/LICENSE"))
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Author"]
    assert all(", https://" in url for url in metadata.get_all("Project-URL", []))
    classifiers = metadata.get_all("Classifier", [])
    for minor in (11, 12, 13, 14):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers


def test_the_image_gets_what_the_wheel_is_built_from() -> None:
    """Docker copies each file that pyproject.toml names, and ignores none of them."""
    project, hatch = BUILD["project"], BUILD["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = {project["readme"], *project["license-files"], *hatch["force-include"]}
    wanted |= {package.partition("/")[0] for package in hatch["packages"]}
    first = (ROOT / "Dockerfile").read_text("utf-8").rpartition("\nFROM ")[0]
    copied = {w for line in first.splitlines() if line.startswith("COPY") for w in line.split()[1:]}
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert wanted <= copied
    assert [w for w in wanted for pattern in ignored if fnmatch(w, pattern)] == []
