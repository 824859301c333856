"""Escalation policies: the tables `[escalations.NAME]` in `ringback.toml`. Pure.

A policy is an ordered list of steps. Each step tells channels, then waits; when nobody has said
that they know of the incident by then, the next step is due::

    [escalations.oncall]
    critical = ["sending", "held"]
    hours = {tz = "America/New_York", open = "daily 08:00-22:00"}
    steps = [
      {tell = "chat", wait = "5m"},
      {tell = ["anna", "ben"], wait = "10m"},
    ]
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ringback.keywords import opt_out_word, words
from ringback.rules.timing.calendar import Hours, parse_open, zone
from ringback.rules.timing.durations import parse_duration
from ringback.settings_mistakes import invalid, nearest

MOST_STEPS, MOST_ROUNDS = 50, 100
_LEAST_WAIT = 60.0


def _span(text: str) -> str:
    if parse_duration(text) < _LEAST_WAIT:
        raise ValueError(f"{text!r} is shorter than a minute: nobody can answer by then")
    return text


def _open(text: str) -> str:
    parse_open(text)
    return text


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _word(text: str) -> str:
    said = words(text)
    if len(said) != 1 or opt_out_word(text):
        raise ValueError(f"{text!r} must be one word, and none that ends or begins consent")
    return said[0]


Names = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1, max_length=50)]


class HoursTable(BaseModel):
    """When people may be told, as `{tz = "Europe/Berlin", open = "daily 08:00-22:00"}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tz: Annotated[str, AfterValidator(lambda text: zone(text).key)]
    open: Annotated[str, AfterValidator(_open)]

    @property
    def hours(self) -> Hours:
        """The same as a calendar."""
        return Hours(self.tz, parse_open(self.open))


class StepTable(BaseModel):
    """One step: the channels that are told, and how long it then waits for somebody to answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tell: Names
    wait: Annotated[str, AfterValidator(_span)] = "15m"
    hours: HoursTable | None = None
    outside: Literal["wait", "next"] | None = None


class PolicyTable(BaseModel):
    """One policy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    incidents: Names | None = None
    critical: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    hours: HoursTable | None = None
    outside: Literal["wait", "next"] = "wait"
    rounds: int = Field(1, ge=1, le=MOST_ROUNDS)
    acknowledge: Annotated[
        list[Annotated[str, AfterValidator(_word)]], BeforeValidator(_listed)
    ] = Field(default_factory=lambda: ["ok", "okay", "ack"], min_length=1)
    steps: list[StepTable] = Field(min_length=1, max_length=MOST_STEPS)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a policy says of its incidents, step by step; of several rounds each comes again."""

    name: str
    table: PolicyTable

    def takes(self, kind: str) -> bool:
        """Whether incidents of this kind are escalated by it."""
        return self.table.incidents is None or kind in self.table.incidents

    def step(self, number: int) -> StepTable | None:
        """The step of this number, counted over all rounds from 0; None behind the last one."""
        steps = self.table.steps
        return steps[number % len(steps)] if number < len(steps) * self.table.rounds else None

    def wait(self, number: int) -> timedelta:
        """How long a step waits before the next one."""
        step = self.step(number)
        return timedelta(seconds=parse_duration(step.wait) if step else 0.0)

    def opens(self, number: int, kind: str, now: datetime) -> datetime | None:
        """When the people of a step may be told: now, at a later moment, or never (None)."""
        step = self.step(number) or self.table.steps[number % len(self.table.steps)]
        hours = step.hours or self.table.hours
        if hours is None or kind in self.table.critical:
            return now
        return hours.hours.next_open(now)

    def passes(self, number: int) -> bool:
        """Whether the step after this one has its turn at once when nobody may be told."""
        step = self.step(number)
        return ((step and step.outside) or self.table.outside) == "next"


def policies(tables: Mapping[str, Any]) -> dict[str, Policy]:
    """The policies by name, in the order of the file, without those that are wrong."""
    found = {}
    for name, table in tables.items():
        try:
            found[name] = Policy(name, PolicyTable.model_validate(dict(table)))
        except ValidationError:
            continue
    return found


def problems(tables: Mapping[str, Any], channels: Collection[str]) -> Iterator[str]:
    """What is wrong with the tables, a sentence each. `channels` are the names in use."""
    for name, table in tables.items():
        try:
            policy = PolicyTable.model_validate(dict(table))
        except ValidationError as error:
            for each in error.errors():
                place = ".".join(str(part) for part in each["loc"])
                yield f"[escalations.{name}] {place}: {invalid(each, _known(each['loc']))}"
            continue
        for number, step in enumerate(policy.steps):
            for channel in step.tell:
                if says := _wrong(channel, tables, channels):
                    yield f"[escalations.{name}] steps.{number}.tell: {says}"


def _wrong(channel: str, tables: Collection[str], channels: Collection[str]) -> str:
    if channel == "webhook":
        return "the channel webhook has no address of its own; name one of [channels.NAME]"
    if channel == "log" or channel in channels:
        return ""
    if channel in tables:
        return f"{channel!r} is an escalation; a step tells channels, so that none goes in a circle"
    there = ", ".join(["log", *channels])
    return f"no channel is called {channel!r}{nearest(channel, channels)}; there are: {there}"


def _known(place: tuple[Any, ...]) -> Iterable[str]:
    table = HoursTable if "hours" in place[:-1] else StepTable if "steps" in place else PolicyTable
    return list(table.model_fields)
