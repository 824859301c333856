"""Settings: every value a person can set, where it came from, and what is wrong with it.

Layers, the later one wins: the defaults below, `ringback.toml`, `.env`, the environment, flags. All
problems are found in one pass. One setting is one line of `Settings`: its name is the key in
`ringback.toml`, its metadata names the environment variables and says how a text is read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ringback.cluster_settings import ClusterSettings, password_in
from ringback.console_settings import facts
from ringback.errors import ConfigError
from ringback.settings_values import (
    Shown,
    Wrong,
    as_text,
    from_environ,
    from_toml,
    hidden,
    parse_dotenv,
    place_of,
    read,
    read_file,
    texts_in,
)

FALLBACK_TWIML = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    "<Response><Say>We cannot take your call right now. Please call again later.</Say></Response>"
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
FIXED = (
    "host", "port", "data", "log_format", "simulated", "keep_bodies_days", "keep_rows_days",
    "database_url", "node", "lease_seconds",
)  # fmt: skip
"""What a running node cannot change: it is bound, opened or built at the start."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def _nothing() -> Mapping[str, Any]:
    return _NOTHING


def is_project(folder: Path) -> bool:
    """Whether a folder is a project, or may be one: it has settings, rules or plugins."""
    return any((folder / mark).exists() for mark in ("ringback.toml", "rules", "plugins"))


@dataclass(frozen=True, slots=True, repr=False)
class Settings(ClusterSettings):
    """Everything a node needs to know. Build it with `Settings.load`; tests may build it directly.

    Times are in seconds. `sources` tells for each name which layer its value came from; `environ`
    is `.env` and the environment together, for what plugins ask of it.
    """

    project: Path
    data: Path = field(default=Path("data"), metadata=facts(
        "RINGBACK_DATA", kind="path", about="Folder of the databases, relative to the project.",
    ))  # fmt: skip
    host: str = field(default="127.0.0.1", metadata=facts(
        "RINGBACK_HOST", about="Address to listen on.",
    ))  # fmt: skip
    port: int = field(default=8080, metadata=facts(
        "RINGBACK_PORT", "PORT", kind="port", about="Port to listen on; 0 takes a free one.",
    ))  # fmt: skip
    public_url: str = field(default="", metadata=facts(
        "RINGBACK_PUBLIC_URL", kind="url",
        about="The address at which Twilio reaches this node: what stands in front of /twilio. "
        "Signatures are checked against it.",
    ))  # fmt: skip
    callback_tail: bool = field(default=True, metadata=facts(
        "RINGBACK_CALLBACK_TAIL", kind="flag",
        about="Whether connection overrides (#rc=3&rp=all) stand behind the addresses that Twilio "
        "is given; off for a service with Twilio's interface that signs them too.",
    ))  # fmt: skip
    hook_secret: str = field(default="", metadata=facts(
        "RINGBACK_HOOK_SECRET", secret=True,
        about="Secret part of the webhook path (/twilio/~SECRET/…) for accounts whose auth token "
        "is not known here. At least 24 letters, digits, - or _.",
    ))  # fmt: skip
    account_sid: str = field(default="", metadata=facts(
        "TWILIO_ACCOUNT_SID", kind="sid", about="The Twilio account.",
    ))  # fmt: skip
    auth_tokens: tuple[str, ...] = field(default=(), metadata=facts(
        "TWILIO_AUTH_TOKEN", kind="list", secret=True,
        about="Auth token of the account; several, separated by commas, while you rotate. Each "
        "one proves signatures; the first one signs in to the API.",
    ))  # fmt: skip
    accounts: Mapping[str, tuple[str, ...]] = field(default_factory=_nothing, metadata=facts(
        kind="lists", secret=True,
        about='Further accounts or sub-accounts and their auth tokens: [accounts] AC… = ["…"].',
    ))  # fmt: skip
    shared_keys: Mapping[str, str] = field(default_factory=_nothing, metadata=facts(
        "RINGBACK_SHARED_KEYS", kind="pairs", secret=True,
        about="Keys for signing without an auth token, HMAC-SHA256: id=secret,id=secret.",
    ))  # fmt: skip
    api_key: str = field(default="", metadata=facts(
        "TWILIO_API_KEY", about="API key SID for the direct gateway.",
    ))  # fmt: skip
    api_secret: str = field(default="", metadata=facts(
        "TWILIO_API_SECRET", secret=True, about="Secret of the API key.",
    ))  # fmt: skip
    maton_api_key: str = field(default="", metadata=facts(
        "MATON_API_KEY", secret=True,
        about="Key of the Maton gateway. When it is set, requests go through Maton.",
    ))  # fmt: skip
    maton_connection: str = field(default="", metadata=facts(
        "MATON_CONNECTION", about="The Maton connection to pin; needed with more than one.",
    ))  # fmt: skip
    gateway_url: str = field(default="", metadata=facts(
        "RINGBACK_GATEWAY_URL", kind="url",
        about="Base in front of /2010-04-01; empty means that of Maton or Twilio.",
    ))  # fmt: skip
    control_url: str = field(default="https://ctrl.maton.ai", metadata=facts(
        "RINGBACK_CONTROL_URL", kind="url",
        about="Base of Maton's control plane, in front of /connections.",
    ))  # fmt: skip
    sender: str = field(default="", metadata=facts(
        "RINGBACK_SENDER", kind="address",
        about="Default From of messages and calls, as +15550001111.",
    ))  # fmt: skip
    gateway_rate: float = field(default=0.0, metadata=facts(
        "RINGBACK_GATEWAY_RATE", kind="rate",
        about="Requests a second to the gateway; 0 means 8 for Maton, 80 for Twilio directly.",
    ))  # fmt: skip
    sender_rate: float = field(default=0.0, metadata=facts(
        "RINGBACK_SENDER_RATE", kind="rate",
        about="Messages a second from each sender; 0 leaves the pace to Twilio, which queues.",
    ))  # fmt: skip
    quiet_hours: str = field(default="", metadata=facts(
        "RINGBACK_QUIET_HOURS", kind="hours",
        about="When nobody is texted or called on our own initiative, in the recipient's time, as "
        "21:00-08:00; replies still go out.",
    ))  # fmt: skip
    quiet_zone: str = field(default="", metadata=facts(
        "RINGBACK_QUIET_ZONE", kind="zone",
        about="Time zone of recipients whose number does not tell theirs, as Europe/Berlin, and "
        "of the days that budgets count; empty: UTC.",
    ))  # fmt: skip
    recipient_per_hour: int = field(default=30, metadata=facts(
        "RINGBACK_RECIPIENT_PER_HOUR", kind="count",
        about="So many messages and calls an hour go to one recipient at most; 0 means any number.",
    ))  # fmt: skip
    total_per_hour: int = field(default=5000, metadata=facts(
        "RINGBACK_TOTAL_PER_HOUR", kind="count",
        about="So many messages and calls go out in an hour at most, in all; 0 means any number.",
    ))  # fmt: skip
    notices_per_hour: int = field(default=20_000, metadata=facts(
        "RINGBACK_NOTICES_PER_HOUR", kind="count",
        about="So many notices and `http` requests go out in an hour at most; 0 means any number.",
    ))  # fmt: skip
    total_per_day: int = field(default=0, metadata=facts(
        "RINGBACK_TOTAL_PER_DAY", kind="count",
        about="So many messages and calls go out in a day at most, in all; 0 means any number.",
    ))  # fmt: skip
    segments_per_day: int = field(default=0, metadata=facts(
        "RINGBACK_SEGMENTS_PER_DAY", kind="count",
        about="So many segments of text go out in a day at most; 0 means any number.",
    ))  # fmt: skip
    price_per_day: float = field(default=0.0, metadata=facts(
        "RINGBACK_PRICE_PER_DAY", kind="amount",
        about="So much may the texts of a day cost, about; 0 means any amount.",
    ))  # fmt: skip
    segment_price: float = field(default=0.0, metadata=facts(
        "RINGBACK_SEGMENT_PRICE", kind="amount",
        about="What a segment of a text costs, about, in the currency of the account.",
    ))  # fmt: skip
    delivery_incidents: bool = field(default=True, metadata=facts(
        "RINGBACK_DELIVERY_INCIDENTS", about="Whether the node watches over deliveries.",
    ))  # fmt: skip
    delivery_minimum: int = field(default=20, metadata=facts(
        "RINGBACK_DELIVERY_MINIMUM", kind="count",
        about="Of fewer texts in five minutes no incident of deliveries is opened.",
    ))  # fmt: skip
    spend_rise: float = field(default=3.0, metadata=facts(
        "RINGBACK_SPEND_RISE", kind="amount", about="Times the most of a week that is an incident.",
    ))  # fmt: skip
    spend_minimum: int = field(default=200, metadata=facts(
        "RINGBACK_SPEND_MINIMUM", kind="count", about="Fewer segments in five minutes are none.",
    ))  # fmt: skip
    late_seconds: int = field(default=300, metadata=facts(
        "RINGBACK_LATE_SECONDS", kind="count",
        about="Seconds to wait for a turn until that is an incident; 0 means for ever.",
    ))  # fmt: skip
    settle_seconds: float = field(default=60.0, metadata=facts(
        "RINGBACK_SETTLE_SECONDS", kind="seconds",
        about="How long to wait before evidence about a lost answer is looked for.",
    ))  # fmt: skip
    answer_seconds: float = field(default=2.0, metadata=facts(
        "RINGBACK_ANSWER_SECONDS", kind="seconds",
        about="How long a waiting call gives the worker before it gets the fallback.",
    ))  # fmt: skip
    handler_seconds: float = field(default=5.0, metadata=facts(
        "RINGBACK_HANDLER_SECONDS", kind="seconds",
        about="How long one handler of a plugin may take.",
    ))  # fmt: skip
    host_memory: int = field(default=512, metadata=facts(
        "RINGBACK_HOST_MEMORY", kind="count",
        about="How many MB a process that runs code of plugins may take beyond its start.",
    ))  # fmt: skip
    fallback_twiml: str = field(default=FALLBACK_TWIML, metadata=facts(
        "RINGBACK_FALLBACK_TWIML", kind="twiml",
        about="What a caller hears when no answer is ready in time, or its rule fails.",
    ))  # fmt: skip
    trusted_proxies: tuple[str, ...] = field(default=(), metadata=facts(
        "RINGBACK_TRUSTED_PROXIES", kind="networks",
        about="Addresses or networks whose X-Forwarded-* headers are believed.",
    ))  # fmt: skip
    outbound_allow: tuple[str, ...] = field(default=(), metadata=facts(
        "RINGBACK_OUTBOUND_ALLOW", kind="list",
        about="Private or plain http hosts (name, name:port) that notices and http steps may call.",
    ))  # fmt: skip
    notify: bool = field(default=True, metadata=facts(
        "RINGBACK_NOTIFY", kind="flag",
        about="Whether notices and http steps go out; false only shows them in the log.",
    ))  # fmt: skip
    entry_points: tuple[str, ...] = field(default=(), metadata=facts(
        "RINGBACK_ENTRY_POINTS", kind="list",
        about="Packaged plugins to load, by entry point name; no others that are installed load.",
    ))  # fmt: skip
    keep_bodies_days: int = field(default=0, metadata=facts(
        "RINGBACK_KEEP_BODIES_DAYS", kind="count",
        about="After so many days what people said is blanked in log and journal; 0 keeps it.",
    ))  # fmt: skip
    keep_rows_days: int = field(default=0, metadata=facts(
        "RINGBACK_KEEP_ROWS_DAYS", kind="count",
        about="After so many days events that are done are deleted; 0 keeps them.",
    ))  # fmt: skip
    log_format: str = field(default="text", metadata=facts(
        "RINGBACK_LOG_FORMAT", kind="text|json", about="What the log lines look like.",
    ))  # fmt: skip
    price_reads: bool = field(default=True, metadata=facts(
        "RINGBACK_PRICE_READS", kind="flag",
        about="Whether Twilio is asked, behind all else, for the price of what has ended.",
    ))  # fmt: skip
    simulated: bool = field(default=False, metadata=facts(
        "RINGBACK_SIMULATED", kind="flag",
        about="Set by `ringback dev`: the other side is the simulator. Loopback only.",
    ))  # fmt: skip
    plugin_config: Mapping[str, Any] = field(default_factory=_nothing, metadata=facts(
        kind="tables",
        about='[plugins.NAME] tables; {"$env" = "NAME"} takes a value from the environment.',
    ))  # fmt: skip
    channels: Mapping[str, Any] = field(default_factory=_nothing, metadata=facts(
        kind="tables",
        about="[channels.NAME] tables: how notices reach a person; see the page on channels.",
    ))  # fmt: skip
    credentials: Mapping[str, Any] = field(default_factory=_nothing, metadata=facts(
        kind="tables",
        about="[credentials.NAME] tables: secrets for the web services that `http` steps call.",
    ))  # fmt: skip
    escalations: Mapping[str, Any] = field(default_factory=_nothing, metadata=facts(
        kind="tables",
        about="[escalations.NAME] tables: whom incidents are told, and who is next.",
    ))  # fmt: skip
    sources: Mapping[str, str] = field(default_factory=_nothing)
    environ: Mapping[str, str] = field(default_factory=_nothing)
    notes: tuple[str, ...] = ()
    """What is odd about where they come from, a sentence each: a line of `.env` that the
    environment hides, or a `.env` that cannot be read beside an environment that says enough."""

    @classmethod
    def load(
        cls,
        project: Path,
        environ: Mapping[str, str] = _NOTHING,
        overrides: Mapping[str, str] = _NOTHING,
    ) -> "Settings":
        """Read all layers for the project in this folder.

        `overrides` are flags by setting name, as text. Raises ConfigError with every problem of
        every layer; what is merely missing for a node that serves is judged by the receiver.
        """
        problems: list[str] = []
        root = Path(project).absolute()
        if not root.is_dir():
            raise ConfigError([f"{project}: no such folder; `ringback init {project}` makes one"])
        notes: list[str] = []
        # A container gets its settings by its environment, and the project of another user.
        enough = any(name.removesuffix("_FILE") in VARIABLES for name in environ)
        unreadable = notes if enough else problems
        dotenv = parse_dotenv(read_file(root / ".env", unreadable), problems)
        notes += hidden(dotenv, environ, VARIABLES)
        known = {env: (name, bool(_FACTS[name]["secret"])) for env, name in VARIABLES.items()}
        layers: list[Iterator[tuple[str, Any, str]]] = [
            from_toml(root / "ringback.toml", _TOML_KEYS, problems),
            from_environ(dotenv, ".env", known, root, problems),
            from_environ(environ, "environment", known, root, problems),
            ((n, text or None, f"flag --{n.replace('_', '-')}") for n, text in overrides.items()),
        ]
        values: dict[str, Any] = {}
        sources = dict.fromkeys(_FACTS, "default")
        for layer in layers:
            for name, raw, source in layer:
                sources[name] = source
                if raw is None:  # set, but empty: back to the default, whatever a lower layer says
                    values.pop(name, None)
                    continue
                try:
                    values[name] = read(_FACTS[name]["kind"], raw)
                except Wrong as wrong:
                    problems.append(f"{place_of(source, _KEYS.get(name), root)}: {name} {wrong}")
        values["data"] = root / values.get("data", "data")
        if problems:
            raise ConfigError(problems)
        return cls(
            project=root,
            sources=MappingProxyType(sources),
            environ=MappingProxyType({**dotenv, **environ}),
            notes=tuple(notes),
            **values,
        )

    def shown(self) -> list[Shown]:
        """Every setting with its value as text and its source; secrets are masked."""
        lines = []
        for name, known in _FACTS.items():
            value = as_text(getattr(self, name), masked=known["secret"])
            source = self.sources.get(name, "default")
            lines.append(Shown(name, known["env"], value, source, known["about"]))
        return lines

    def secrets(self) -> list[str]:
        """The values that are shown to nobody."""
        found = [getattr(self, name) for name, known in _FACTS.items() if known["secret"]]
        found.append(password_in(self.database_url))
        return [text for each in found for text in texts_in(each) if text]

    def child_environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment for a child process that must see these same settings.

        A child that loads the same project with it gets what flags and tests have set here. What
        stands in a file it reads by itself, then and whenever it looks again, but for what is
        FIXED: that stays as it is here.
        """
        child = dict(environ)
        for name, known in _FACTS.items():
            layer, _, variable = self.sources.get(name, "given").partition(" ")
            kept = layer in ("default", "ringback.toml")
            if not known["env"] or (kept and name not in FIXED):
                continue
            for each in known["env"]:
                child.pop(each, None)
                child.pop(f"{each}_FILE", None)
            if layer == "environment":
                child[variable] = self.environ[variable]
            elif layer != ".env" or name in FIXED:
                child[known["env"][0]] = as_text(getattr(self, name), masked=False)
        return child

    def account_for(self, account_sid: str) -> str:
        """The account to be asked about what is of this one: itself when it is one of ours, else
        that of the settings (empty: the gateway's)."""
        return account_sid if account_sid in self.accounts else self.account_sid

    def differing(self, other: "Settings") -> list[str]:
        """The names of the settings that are not the same in both; `environ` when something else
        than a setting differs there, which channels and plugins may refer to."""
        names = [name for name in _FACTS if getattr(self, name) != getattr(other, name)]
        same = _foreign(self.environ) == _foreign(other.environ)
        return names if same else [*names, "environ"]

    def keeping(self, running: "Settings") -> "Settings":
        """These settings as a node that runs with others may take them over: FIXED ones stay."""
        return replace(self, **{name: getattr(running, name) for name in FIXED})

    def __repr__(self) -> str:
        inner = ", ".join(f"{line.name}={line.value!r}" for line in self.shown())
        return f"Settings(project={str(self.project)!r}, {inner})"


_SHARED = {item.name for item in fields(ClusterSettings)}
_FACTS: dict[str, Mapping[str, Any]] = {
    item.name: item.metadata
    for item in sorted(fields(Settings), key=lambda item: item.name in _SHARED)
    if item.metadata
}
SETTING_NAMES: tuple[str, ...] = tuple(_FACTS)
VARIABLES: dict[str, str] = {env: name for name, known in _FACTS.items() for env in known["env"]}
"""Environment variable -> setting name; of two for one setting the first wins."""
_TOML_KEYS = {
    "plugins" if name == "plugin_config" else name: name for name in _FACTS if name != "simulated"
}
_KEYS = {name: key for key, name in _TOML_KEYS.items()}


def _foreign(environ: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environ.items() if k.removesuffix("_FILE") not in VARIABLES}
