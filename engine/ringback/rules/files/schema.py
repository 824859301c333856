"""Schema of rule files, as pydantic models, and as JSON Schema for editors."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ringback.events import CLOUD_EVENTS, EVENT_TYPES, FAMILIES, HOOK, TRUST
from ringback.hooks.definitions import SCHEMES, STANDARD
from ringback.rules.model import StepKind
from ringback.rules.steps.base import Lines, MaybeSpan, Steps, Text, Types, Values
from ringback.rules.steps.kinds import STEPS

_STRICT = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_. -]{0,79}$"


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Addresses = Annotated[list[str], BeforeValidator(_listed)]


class TriggerModel(BaseModel):
    """An event to look out for: its types, and conditions on it, in which it is `reply`."""

    model_config = _STRICT
    plain: ClassVar[str] = "on"

    on: Types
    if_: Lines = Field(default_factory=list, alias="if")
    key: Text = ""


class ScheduleModel(BaseModel):
    """A cron line and the time zone that it is read in."""

    model_config = _STRICT
    plain: ClassVar[str] = "cron"

    cron: str
    tz: str = "UTC"


class BudgetModel(BaseModel):
    """What a rule may spend in a day."""

    model_config = _STRICT

    per_day: Annotated[int, Field(ge=1)] | None = None
    segments_per_day: Annotated[int, Field(ge=1)] | None = None
    price_per_day: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class RuleModel(BaseModel):
    """When this event (`on`), if this holds (`if`), do these steps (`do`)."""

    model_config = _STRICT

    name: Annotated[str, Field(pattern=_NAME)]
    description: str = ""
    on: Types = Field(default_factory=list)
    schedule: ScheduleModel | None = None
    if_: Lines = Field(default_factory=list, alias="if")
    from_: Addresses = Field(default_factory=list, alias="from")
    to: Addresses = Field(default_factory=list)
    trust: Addresses = Field(default_factory=list)
    let: Values = Field(default_factory=dict)
    key: Text = ""
    once_within: MaybeSpan = 0.0
    once_after: MaybeSpan = 0.0
    max_wait: MaybeSpan = 0.0
    accumulate_within: MaybeSpan = 0.0
    threshold: Annotated[int, Field(ge=0, le=10000)] = 0
    unless: TriggerModel | None = None
    within: MaybeSpan = 0.0
    cancel_on: TriggerModel | None = None
    mode: Literal["parallel", "single", "restart", "queued"] = "parallel"
    max: Annotated[int, Field(ge=1, le=1000)] = 10
    state: Literal["off", "shadow", "draft", "live"] = "live"
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    backstop: bool = False
    also_answers: bool = False
    ordered: bool = True
    limit: MaybeSpan = 0.0
    budget: BudgetModel | None = None
    do: Steps = Field(default_factory=list)


class HoursModel(BaseModel):
    """When a place is open: its time zone, its spans, its closed days."""

    model_config = _STRICT

    tz: str
    open: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
    holidays: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)


class GroupModel(BaseModel):
    """A group of people: kept in the journal, or read from a file (`from`)."""

    model_config = _STRICT

    from_: str = Field("", alias="from")


class BlockModel(BaseModel):
    """Steps with parameters: what it needs, what it does, and what it gives back."""

    model_config = _STRICT

    needs: Annotated[Types, Field(max_length=20)] = Field(default_factory=list)
    do: Annotated[Steps, Field(min_length=1)]
    gives: Any = None


class SecretModel(BaseModel):
    """The variable of the environment that holds a secret."""

    model_config = _STRICT

    env: str = Field(alias="$env", min_length=1)


class HookModel(BaseModel):
    """Another system whose webhooks come in: its proof, and what is where in its JSON."""

    model_config = _STRICT

    secret: Annotated[list[SecretModel], BeforeValidator(_listed), Field(min_length=1)]
    scheme: str = Field(STANDARD, json_schema_extra={"enum": list(SCHEMES)})
    phone: str = ""
    id: str = ""
    tolerance: MaybeSpan = 0.0


class FileModel(BaseModel):
    """One rule file."""

    model_config = _STRICT

    version: Literal["1"] = "1"
    include: Types = Field(default_factory=list)
    lists: dict[str, list[str]] = Field(default_factory=dict)
    hours: dict[str, HoursModel] = Field(default_factory=dict)
    groups: dict[str, GroupModel] = Field(default_factory=dict)
    texts: dict[str, dict[str, str]] = Field(default_factory=dict)
    blocks: dict[str, BlockModel] = Field(default_factory=dict)
    hooks: dict[str, HookModel] = Field(default_factory=dict)
    rules: list[Any] = Field(default_factory=list)
    cases: list[Any] = Field(default_factory=list)


RULE_KEYS: tuple[str, ...] = tuple(
    field.alias or name for name, field in RuleModel.model_fields.items()
)
"""Every word that a rule may have, in the order of the manual."""


def json_schema(steps: Iterable[StepKind] = ()) -> dict[str, Any]:
    """The JSON Schema of a rule file, third-party steps included, for editors.

    An editor resolves `3`, `true` and `+1555…` to numbers and such where we keep the text, so
    every text may also be of those types.
    """
    defs: dict[str, Any] = {}
    file = _part(FileModel, defs)
    rule = _part(RuleModel, defs)
    for inner in (
        HoursModel, GroupModel, BlockModel, SecretModel, HookModel, TriggerModel, ScheduleModel,
        BudgetModel,
    ):  # fmt: skip
        defs[inner.__name__] = _part(inner, {})
    options: list[dict[str, Any]] = []
    bare: list[str] = []
    for name, model in STEPS.items():
        options.append(_step(name, model, _part(model, defs), model.plain))
        if not any(field.is_required() for field in model.model_fields.values()):
            bare.append(name)
    options += [
        _step(kind.name, kind.model, _part(kind.model, defs), kind.plain, kind.doc)
        for kind in steps
    ]
    defs["step"] = {"anyOf": [{"enum": bare}, *options]}
    defs["steps"] = {"type": "array", "items": {"$ref": "#/$defs/step"}}
    rule["required"] = ["name", "do"]
    rule["properties"]["on"] = _one_or_many({"anyOf": [{"enum": _patterns()}, {"type": "string"}]})
    rule["properties"]["trust"] = _one_or_many({"enum": list(TRUST)})
    rule["properties"]["schedule"] = _or_text(rule["properties"]["schedule"])
    for word in ("cancel_on", "unless"):
        rule["properties"][word] = _or_many(rule["properties"][word])
    file["properties"]["version"] = {"enum": [1, "1"]}
    file["properties"]["rules"] = {"type": "array", "items": rule}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ringback rules",
        **_loose(file),
        "$defs": _loose(defs),
    }


def _part(model: type[Any], defs: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    defs.update(schema.pop("$defs", {}))
    for name, field in model.model_fields.items():
        place = schema.get("properties", {}).get(field.alias or name, {})
        marks = {getattr(mark, "kind", "") for mark in field.metadata}
        if "steps" in marks:
            place.clear()
            place["$ref"] = "#/$defs/steps"
        elif "branches" in marks:
            place.clear()
            place.update(type="object", additionalProperties={"$ref": "#/$defs/steps"})
        elif place.get("type") == "array" and "options" not in marks:
            items = place.get("items", {})
            place.pop("type", None)
            place.pop("items", None)
            place.update(_one_or_many(items))
        elif place.get("type") == "number":
            place.clear()
            place.update(type=["string", "integer"], examples=["15m"])
        place.pop("title", None)
        place.pop("default", None)
    schema.pop("title", None)
    return schema


def _patterns() -> list[str]:
    families = dict.fromkeys([*(type_.partition(".")[0] for type_ in EVENT_TYPES), *FAMILIES, HOOK])
    return [*EVENT_TYPES, *(f"{family}.*" for family in families), f"{CLOUD_EVENTS}*"]


def _one_or_many(item: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [item, {"type": "array", "items": item}]}


def _or_text(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"type": "string"}, schema]}


def _or_many(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [_one_or_many({"type": "string"}), schema]}


def _step(
    name: str, model: type[Any], schema: dict[str, Any], plain: str, doc: str = ""
) -> dict[str, Any]:
    forms: list[dict[str, Any]] = [schema]
    whole = getattr(model, "whole", "")
    if whole:
        forms = [{"type": "object"}]
    if plain:
        forms += [{"type": "string"}, {"type": "array"}]
    if not any(field.is_required() for field in model.model_fields.values()):
        forms.append({"type": "null"})
    return {
        "type": "object",
        "description": doc or (model.__doc__ or "").strip().partition("\n")[0],
        "properties": {name: {"anyOf": forms}},
        "required": [name],
        "additionalProperties": False,
    }


def _loose(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_loose(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    loose = {key: _loose(value) for key, value in schema.items()}
    if loose.get("type") == "string":
        loose["type"] = ["string", "number", "boolean"]
        if loose.get("pattern"):
            loose["type"] = ["string", "number"]
    elif loose.get("type") == "integer":
        loose["type"] = ["integer", "string"]
    elif loose.get("type") == "number":
        loose["type"] = ["number", "string"]
    elif loose.get("type") == "boolean":
        loose["type"] = ["boolean", "string"]
    return loose
