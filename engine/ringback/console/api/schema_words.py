"""Words of the schemas of the JSON API: kinds of fields, objects, lists."""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
NUMBER: Schema = {"type": "integer"}
FIGURE: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
FREE: Schema = {}
"""Whatever stands in a webhook or in a file of rules."""


def or_null(schema: Schema) -> Schema:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def each_of(schema: Schema, names: str) -> dict[str, Schema]:
    """These fields, each of this schema."""
    return dict.fromkeys(names.split(), schema)


def object_of(fields: Mapping[str, Schema], about: str = "", optional: str = "") -> Schema:
    """An object with these fields and no others, all there but for the optional ones."""
    left = optional.split()
    found: Schema = {
        "type": "object", "properties": dict(fields), "additionalProperties": False,
        "required": [name for name in fields if name not in left],
    }  # fmt: skip
    return found | ({"description": about} if about else {})


def list_of(schema: Schema) -> Schema:
    """A list of such values."""
    return {"type": "array", "items": schema}


def ref(name: str) -> Schema:
    """The schema of this name."""
    return {"$ref": f"#/components/schemas/{name}"}


def part(name: str) -> Schema:
    """A list of objects of this name, as every resource answers one."""
    return object_of(
        {
            "items": list_of(ref(name)),
            "next": {**or_null(TEXT), "description": "The cursor of the next part."},
            "looked_back_to": {
                **or_null(TIME),
                "description": "The list was looked through to there, and goes on at `next`.",
            },
            "counted_to": TIME,
        }
    )
