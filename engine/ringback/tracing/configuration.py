"""Configuration of traces by the standard `OTEL_*` variables, with what cannot be done here."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

EXTRA = "opentelemetry.exporter.otlp.proto.http"
INSTALL = "pip install 'ringback[otel]'"
SAMPLERS = (
    "always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
    "parentbased_traceidratio",
)  # fmt: skip
DEFAULT_ENDPOINT = "http://localhost:4318/v1/traces"
_ASKS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


@dataclass(frozen=True, slots=True)
class Configured:
    """Where traces go (empty: they are off), which share of them, and what is wrong, each with its
    mend."""

    endpoint: str = ""
    share: float = 1.0
    problems: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The address without what may be secret in it, and the share when it is not all."""
        parts = urlsplit(self.endpoint)
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return address if self.share == 1 else f"{address}, {self.share:.6g} of them"


def configured(environ: Mapping[str, str]) -> Configured:
    """What these variables ask for."""
    get = environ.get
    exporter = get("OTEL_TRACES_EXPORTER", "").strip().lower()
    disabled = get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    asked = exporter or any(get(name, "").strip() for name in _ASKS)
    if disabled or exporter == "none" or not asked:
        return Configured()
    endpoint = _endpoint(environ)
    problems = []
    if exporter not in ("", "otlp"):
        problems.append(f"OTEL_TRACES_EXPORTER is {exporter!r}: set it to otlp or none")
    name, protocol = _first(
        environ, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
    )
    if protocol not in ("", "http/protobuf"):
        problems.append(
            f"{name} is {protocol!r}: set it to http/protobuf, and the endpoint to the "
            "collector's port for it, as http://collector:4318"
        )
    if not _is_address(endpoint):
        name = next(name for name in reversed(_ASKS) if get(name, "").strip())
        problems.append(f"{name} is no address: write it as http://collector:4318")
    share, odd = _share(environ)
    problems += odd
    if not installed():
        problems.append(f"OTEL_* asks for traces, and the extra otel is missing: {INSTALL}")
    return Configured(endpoint, share, tuple(problems))


def installed() -> bool:
    """Whether the extra is there. Only its folders are looked for; nothing is imported to know."""
    try:
        return find_spec(EXTRA) is not None and find_spec("opentelemetry.sdk") is not None
    except ModuleNotFoundError:
        return False


def _first(environ: Mapping[str, str], *names: str) -> tuple[str, str]:
    for name in names:
        if value := environ.get(name, "").strip():
            return name, value
    return names[-1], ""


def _endpoint(environ: Mapping[str, str]) -> str:
    """The traces' own address as it stands, or the common one with the path of traces."""
    if own := environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip():
        return own
    common = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    return f"{common.rstrip('/')}/v1/traces" if common else DEFAULT_ENDPOINT


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _share(environ: Mapping[str, str]) -> tuple[float, list[str]]:
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower() or "parentbased_always_on"
    if sampler not in SAMPLERS:
        known = ", ".join(SAMPLERS)
        return 1.0, [f"OTEL_TRACES_SAMPLER is {sampler!r}: set it to one of {known}"]
    if sampler.endswith("always_on"):
        return 1.0, []
    if sampler.endswith("always_off"):
        return 0.0, []
    text = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1"
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        return 1.0, [f"OTEL_TRACES_SAMPLER_ARG is {text!r}: set it to a share from 0 to 1"]
    return share, []
