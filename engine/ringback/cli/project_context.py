"""Project context of a command: which project and which data folder it is about."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

import click

from ringback.config import Settings
from ringback.errors import UsageError
from ringback.runtime import ClockFile

if TYPE_CHECKING:
    from ringback.store.data_place import DataPlace

DEV_FOLDER = "dev"
ELSEWHERE = (
    "data that lie elsewhere, as a unit of systemd may say: put RINGBACK_DATA into .env, or "
    "`ringback --data FOLDER …`"
)
"""The mend of a command that finds no data where it looks."""
HIDDEN = (
    "database_url",
    "hook_secret", "maton_api_key", "maton_connection", "api_key", "api_secret", "shared_keys",
    "trusted_proxies",
)  # fmt: skip
"""Settings that a node of `dev` must never see the real values of."""


@dataclass(frozen=True)
class Place:
    """The project folder and the flags that were given in front of the command. `alone` says that
    this process runs the command and nothing else."""

    project: Path
    flags: Mapping[str, str]
    alone: bool = False

    def settings(self, project: Path | None = None, **flags: str | None) -> Settings:
        """Load the settings; flags that are None were not given. Raises ConfigError."""
        given = {name: value for name, value in flags.items() if value is not None}
        return Settings.load(project or self.project, os.environ, {**self.flags, **given})

    def data(self) -> Path:
        """The data folder to read: that of a running `ringback dev` when there is one.

        When no real node has ever run here, it is that of the last `ringback dev`.
        """
        return self.databases().data

    def databases(self) -> "DataPlace":
        """Where the log and the journal of that node are: in its data folder, or on the server of
        the settings; those of `dev` are always files."""
        from ringback.store.data_place import DataPlace

        settings = self.settings()
        real, dev = DataPlace(settings.data, settings.database_url), settings.data / DEV_FOLDER
        if "data" in self.flags:
            return real
        if live_dev(real.data) is not None or (dev.is_dir() and not real.has_log()):
            if real.has_log():
                click.echo(f"(reading the running dev node's data in {dev})", err=True)
            return DataPlace(dev)
        return real

    def now(self) -> datetime:
        """What the clock shows of the node whose data is read: that of `dev` may have been moved
        ahead."""
        settings = self.settings()
        data, there = settings.data, bool(settings.database_url)
        dev = "data" not in self.flags and (
            live_dev(data) is not None or not (there or (data / "log.db").exists())
        )
        return clock_of(data / DEV_FOLDER if dev else data)

    def number(self, written: str) -> str:
        """A number as Twilio writes it, by the country of the default sender, or of a number of a
        running `ringback dev`, behind `whatsapp:` too; else unchanged."""
        number = written.rpartition(":")[2]
        if number[:1] not in "+(0123456789" or (number[:1] == "+" and number[1:].isdecimal()):
            return written
        from ringback.rules.language.phones import home, plain

        settings = self.settings()
        numbers = (live_dev(settings.data) or {}).get("numbers") or [""]
        return plain(written, home(settings.sender or str(numbers[0])))


def clock_of(data: Path) -> datetime:
    """The time of the node with this data folder."""
    moved = data / "clock"
    return datetime.fromtimestamp(ClockFile(moved).time() if moved.exists() else time(), UTC)


def find_project(start: Path) -> Path:
    """The nearest folder upwards that has a ringback.toml, else the folder itself."""
    for folder in (start, *start.parents):
        if (folder / "ringback.toml").is_file():
            return folder
    return start


def no_project(folder: Path) -> UsageError:
    """What to say of a folder that is no project, to a command that wants one."""
    return UsageError(
        f"{folder} is no project: it has no ringback.toml, no rules/ and no plugins/; go to one, "
        "name it, or make one with `ringback init`"
    )


def live_dev(data: Path) -> dict[str, Any] | None:
    """What a running `ringback dev` wrote about itself under this data folder; None without one."""
    try:
        facts: dict[str, Any] = json.loads((data / DEV_FOLDER / "dev.json").read_text("utf-8"))
        os.kill(int(facts["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return None
    return facts


def dev_settings(settings: Settings, facts: Mapping[str, Any]) -> Settings:
    """The settings with which the node of a running `ringback dev` works."""
    if "node_url" not in facts:  # it is only starting
        return replace(settings, data=settings.data / DEV_FOLDER, database_url="")
    url = str(facts["node_url"])
    hidden: dict[str, Any] = {name: getattr(Settings(settings.project), name) for name in HIDDEN}
    return replace(
        settings, **hidden, data=settings.data / DEV_FOLDER, host="127.0.0.1",
        port=int(url.rpartition(":")[2]), public_url=url, simulated=True,
        account_sid=str(facts["account_sid"]), auth_tokens=(str(facts["auth_token"]),),
        gateway_url=str(facts["base_url"]), sender=str(facts["numbers"][0]),
    )  # fmt: skip


def alone() -> bool:
    """Whether this process runs one command and nothing else. A command of a plugin is looked for
    before the place is known: then it is what the process itself says."""
    said = click.get_current_context().obj
    return said.alone if isinstance(said, Place) else bool(said)


def here() -> Place:
    """The place that the running command is about."""
    place: Place = click.get_current_context().obj
    return place
