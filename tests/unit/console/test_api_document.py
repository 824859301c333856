"""OpenAPI document: it says of each endpoint what the declaration checks."""

import json
import re
from collections.abc import Iterator
from typing import Any

from ringback.console.api.listed import RESOURCES
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
