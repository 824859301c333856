"""OpenAPI document: it says of each endpoint what the declaration checks."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringback.cli.main import run
from ringback.console.api.listed import RESOURCES
from ringback.console.api.manual import problems, tables
from ringback.console.api.openapi import document
from ringback.console.problems import KINDS


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from refs(each)
    elif isinstance(value, list):
        for each in value:
            yield from refs(each)


def test_every_reference_leads_somewhere() -> None:
    found = json.loads(json.dumps(document(RESOURCES)))
    for ref in refs(found):
        place = found
        for part in ref.removeprefix("#/").split("/"):
            place = place[part]
    used = {ref.rpartition("/")[2] for ref in refs(found)}
    assert set(found["components"]["schemas"]) == used


def test_every_endpoint_is_in_it_once() -> None:
    found = document(RESOURCES)
    ids = [one["operationId"] for path in found["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids)) == sum(len(each.endpoints) for each in RESOURCES)
    for path, methods in found["paths"].items():
        for one in methods.values():
            places = {each["name"] for each in one["parameters"] if each["in"] == "path"}
            assert places == set(re.findall(r"{(\w+)}", path))
            assert {"401", "403", "503"} <= set(one["responses"])


def test_every_kind_of_problem_has_a_status_and_a_title() -> None:
    for slug, kind in KINDS.items():
        assert re.fullmatch("[a-z-]+", slug)
        assert 400 <= kind.status < 600
        assert kind.title


def test_the_manual_has_every_resource_parameter_and_problem() -> None:
    """As `ringback api schema --markdown` prints them."""
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text("utf-8")
    assert page.partition("## Resources\n\n")[2] == tables(RESOURCES)
    assert problems() in page


def test_the_command_prints_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["api", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(document(RESOURCES)))
    assert run(["api", "schema", "--markdown"]) == 0
    assert capsys.readouterr().out == tables(RESOURCES)


@pytest.mark.slow
def test_the_document_is_openapi() -> None:
    """Held against the schema of OpenAPI 3.1, which comes with schemathesis."""
    import schemathesis

    found = json.loads(json.dumps(document(RESOURCES)))
    schemathesis.openapi.from_dict(found).validate()
    del found["paths"]["/events"]["get"]["parameters"][0]["in"]
    with pytest.raises(Exception, match="parameters"):
        schemathesis.openapi.from_dict(found).validate()
