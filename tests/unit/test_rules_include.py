"""Included files: lists and hours that rule files share, from a folder `shared` and no other."""

from pathlib import Path

import pytest

from ringback.cli.watched_files import stamps
from ringback.rules.files.load import Loaded, load_rules

RULE = "rules:\n  - {name: NAME, on: message.received, from: lists.vip, do: [{reply: Hi}]}\n"
VIP = "lists: {vip: [+12125550101]}\n"


def project(tmp_path: Path, **files: str) -> Path:
    """A project with these files, whose names have __ for the slashes in them."""
    root = tmp_path / "shop"
    for name, text in files.items():
        path = root / "rules" / f"{name.replace('__', '/').replace('up/', '../')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.resolve().parent.mkdir(parents=True, exist_ok=True)
        path.resolve().write_text(text)
    (root / "ringback.toml").touch()
    return root


def rule(name: str, include: str) -> str:
    return f"include: {include}\n{RULE.replace('NAME', name)}"


def load(root: Path) -> Loaded:
    return load_rules(root / "rules")


@pytest.mark.parametrize(
    ("place", "include"),
    [
        ("up__shared__people", "../shared/*.yaml"),
        ("up__shared__people", "[../shared/people.yaml]"),
        ("up__up__shared__people", "../../shared/people.yaml"),
        ("shared__people", "shared/people.yaml"),
    ],
)
def test_lists_come_from_a_folder_named_shared(place: str, include: str, tmp_path: Path) -> None:
    """Of the project or beside it; once, however many include it, and also where it is one of the
    project's own rule files."""
    files = {place: VIP, "a": rule("a", include), "b": rule("b", include)}
    loaded = load(project(tmp_path, **files))
    assert [str(each) for each in loaded.problems] == []
    assert [each.from_ for each in loaded.rules] == [("+12125550101",)] * 2


@pytest.mark.parametrize(
    ("include", "files", "problem"),
    [
        ("../other/*.yaml", {"up__other__x": VIP}, "is not in a folder 'shared' of the project"),
        ("../../../shared/x.yaml", {}, "is not in a folder 'shared' of the project"),
        ("/etc/shared/x.yaml", {}, "is not in a folder 'shared' of the project"),
        ("../shared/../other/x.yaml", {"up__other__x": VIP}, "is not in a folder 'shared'"),
        ("../shared/*.yaml", {}, "there is no file '../shared/*.yaml'"),
        ("../shared/*.txt", {}, "names no rule files"),
        ("../*/x.yaml", {"up__shared__x": VIP}, "names no rule files"),
        ("../shared/**/x.yaml", {"up__shared__y__x": VIP}, "names no rule files"),
        ("../shared/**.yaml", {"up__shared__x": VIP}, "names no rule files"),
        ('"../shared/\\0.yaml"', {}, "names no rule files"),
        ("{a: b}", {}, "'include'"),
        ("../shared/x.yaml", {"up__shared__x": "rules: []\n"}, "rules/a.yaml, line 1, includes"),
        ("../shared/x.yaml", {"up__shared__x": "include: y.yaml\n"}, "which has 'include'"),
        ("../shared/x.yaml", {"up__shared__x": f"{VIP}lists: {{}}\n"}, "'lists' is there twice"),
        ("../shared/x.yaml", {"up__shared__x": "lsts: {}\n"}, "unknown key 'lsts'"),
    ],
)
def test_what_cannot_be_included_is_refused(
    include: str, files: dict[str, str], problem: str, tmp_path: Path
) -> None:
    """With a place, and nothing of it is read."""
    plain = RULE.replace("from: lists.vip, ", "").replace("NAME", "a")
    loaded = load(project(tmp_path, a=f"include: {include}\n{plain}", **files))
    assert problem in "\n".join(str(each) for each in loaded.problems)
    assert len(loaded.problems) == 1
    assert loaded.problems[0].line >= 1
    assert loaded.language.lists == {}


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """Neither that of a file nor that of the folder."""
    root = project(tmp_path, a=rule("a", "../shared/x.yaml"), up__other__x=VIP)
    (root / "shared").mkdir()
    (root / "shared" / "x.yaml").symlink_to(root / "other" / "x.yaml")
    assert "is not in a folder 'shared'" in load(root).problems[0].message
    assert load(root).language.lists == {}
    (root / "shared" / "x.yaml").unlink()
    (root / "shared" / "x.yaml").symlink_to(root / "shared" / "x.yaml")
    assert "there is no file" in load(root).problems[0].message


def test_a_name_that_is_there_twice_is_a_mistake_of_an_included_file_too(tmp_path: Path) -> None:
    loaded = load(project(tmp_path, a=VIP + rule("a", "../shared/x.yaml"), up__shared__x=VIP))
    assert [str(each).partition(": ")[0] for each in loaded.problems] == ["shared/x.yaml:1:9"]


def test_files_that_are_included_without_end_are_refused(tmp_path: Path) -> None:
    """A hundred are read."""
    root = project(tmp_path, a=rule("a", "../shared/*.yaml"), up__shared__0=VIP)
    for number in range(1, 101):
        (root / "shared" / f"{number}.yaml").write_text(f"lists: {{n{number}: []}}\n")
    assert [each.message for each in load(root).problems] == ["more than 100 files are included"]


def test_dev_sees_that_an_included_file_was_saved(tmp_path: Path) -> None:
    root = project(tmp_path, up__shared__x=VIP, up__up__shared__y=VIP)
    watched = {path.name for path in stamps(root)}
    assert watched >= {"x.yaml", "y.yaml"}
