"""Strip of incidents: the last days from left to right, a row for each kind, a bar for each."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from ringback.runtime import from_iso

WIDE, LABEL, RIGHT = 900, 110, 10
ROW, TOP, LEAST = 22, 22, 3.0
_WEEKS = 14
MOST_LABEL = 16


def drawn(incidents: Sequence[Mapping[str, Any]], now: datetime, days: int) -> Markup:
    """The strip of these incidents; empty when there are none."""
    kinds = sorted({str(each["kind"]) for each in incidents})
    if not kinds:
        return Markup("")
    begin, high = now - timedelta(days=days), TOP + ROW * len(kinds) + 4

    def x(moment: datetime) -> float:
        share = (moment - begin) / (now - begin)
        return LABEL + (WIDE - LABEL - RIGHT) * min(max(share, 0.0), 1.0)

    parts = [
        Markup(
            '<svg class="when" viewBox="0 0 {} {}" role="group" '
            'aria-label="Incidents of the last {} days, by kind">'
        ).format(WIDE, high, days)
    ]
    for back in range(0, days + 1, _WEEKS):
        at = x(now - timedelta(days=back))
        parts.append(
            Markup(
                '<line class="grid" x1="{0:.1f}" y1="{1}" x2="{0:.1f}" y2="{2}"/>'
                '<text class="{3}" x="{0:.1f}" y="14">{4}</text>'
            ).format(at, TOP - 4, high - 4, *(
                ("took before", "now") if not back else ("tick", f"−{back} d")
            ))
        )  # fmt: skip
    for row, kind in enumerate(kinds):
        y = TOP + row * ROW
        parts.append(
            Markup('<text class="label" x="{}" y="{}">{}</text>').format(
                LABEL - 10, y + 14, kind[:MOST_LABEL]
            )
        )
        parts += [_bar(each, x, y, now) for each in incidents if each["kind"] == kind]
    return Markup("").join([*parts, Markup("</svg>")])


def _bar(incident: Mapping[str, Any], x: Any, y: int, now: datetime) -> Markup:
    ended = incident["resolved_at"]
    left, right = x(from_iso(incident["opened_at"])), x(from_iso(ended) if ended else now)
    is_open = incident["state"] == "open"
    return Markup(
        '<a href="/console/health/incidents/{}"><g class="tone-{}"><title>{}: {}</title>'
        '<rect x="{:.1f}" y="{}" width="{:.1f}" height="14" rx="2"/></g></a>'
    ).format(
        incident["uid"], "bad" if is_open else "held", "open" if is_open else "over",
        str(incident["text"])[:200], left, y + 3, max(right - left, LEAST),
    )  # fmt: skip
