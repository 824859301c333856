"""Plots as SVG, drawn on the server: a sparkline, and the time picture of a trace.

Classes and no `style`, so that the policy of the pages allows them; each with a title and the same
figures as text.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ringback.console.times import span

WIDE, LABEL, RIGHT = 900, 190, 70
ROW, TOP = 26, 30
FIRST = 0.001
_TICKS = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 86400.0, 7 * 86400.0)
SPARK_WIDE, SPARK_HIGH = 180, 28


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of the time picture, in seconds since its beginning; a point where both are equal."""

    label: str
    begin: float
    end: float
    tone: str = "none"
    link: str = ""
    says: str = ""
    gap: str = ""


def sparkline(counts: Sequence[int], title: str) -> Markup:
    """How many there were in each of the last steps, as small columns."""
    most = max([*counts, 1])
    step = SPARK_WIDE / max(len(counts), 1)
    columns = Markup(
        "".join(
            f'<rect x="{at * step:.1f}" y="{SPARK_HIGH - high:.1f}" '
            f'width="{max(step - 0.6, 0.6):.1f}" height="{high:.1f}"/>'
            for at, count in enumerate(counts)
            if (high := (SPARK_HIGH - 2) * count / most + (1.5 if count else 0))
        )
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" width="{}" height="{}" role="img">'
        '<title>{}</title><line class="base" x1="0" y1="{}" x2="{}" y2="{}"/>{}</svg>'
    ).format(
        SPARK_WIDE, SPARK_HIGH, SPARK_WIDE, SPARK_HIGH, title, SPARK_HIGH - 0.5, SPARK_WIDE,
        SPARK_HIGH - 0.5, columns,
    )  # fmt: skip


def time_picture(bars: Sequence[Bar]) -> Markup:
    """What happened when, on a logarithmic axis from a millisecond on: what took 4 ms here and what
    took 3 s elsewhere are both seen."""
    last = max((bar.end for bar in bars), default=1.0)
    end = next((tick for tick in _TICKS if tick >= last * 1.02), last)
    end = max(end, 1.0)
    high = TOP + ROW * len(bars) + 6
    parts = [
        Markup(
            '<svg class="when" viewBox="0 0 {} {}" role="group" '
            'aria-label="When it happened, from the first moment on">'
        ).format(WIDE, high),
        *_axis(end, high),
        *(_bar(bar, row, end) for row, bar in enumerate(bars)),
        Markup("</svg>"),
    ]
    return Markup("").join(parts)


def _axis(end: float, high: int) -> Iterator[Markup]:
    for tick in (tick for tick in _TICKS if tick <= end):
        at = _x(tick, end)
        yield Markup('<line class="grid" x1="{0:.1f}" y1="{1}" x2="{0:.1f}" y2="{2}"/>').format(
            at, TOP - 8, high - 4
        )
        yield Markup('<text class="tick" x="{:.1f}" y="{}">{}</text>').format(
            at, TOP - 14, _name(tick)
        )


def _bar(bar: Bar, row: int, end: float) -> Markup:
    y = TOP + row * ROW
    x1, x2 = _x(bar.begin, end), _x(bar.end, end)
    if bar.end > bar.begin:
        shape = Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="14" rx="3"/>').format(
            x1, y + 4, max(x2 - x1, 3)
        )
    else:
        shape = Markup('<circle cx="{:.1f}" cy="{}" r="5.5"/>').format(x1, y + 11)
    label = Markup('<text class="label" x="{}" y="{}">{}</text>').format(
        LABEL - 10, y + 15, bar.label if len(bar.label) <= 24 else f"{bar.label[:23]}…"
    )
    took = bar.gap or (span(bar.end - bar.begin) if bar.end > bar.begin else f"+{span(bar.begin)}")
    side = x2 + 8 if x2 < WIDE - RIGHT else x1 - 8
    text = Markup('<text class="took{}" x="{:.1f}" y="{}">{}</text>').format(
        "" if x2 < WIDE - RIGHT else " before", side, y + 15, took
    )
    whole = Markup('<g class="tone-{}"><title>{}</title>{}{}{}</g>').format(
        bar.tone, bar.says or bar.label, label, shape, text
    )
    return Markup('<a href="{}">{}</a>').format(bar.link, whole) if bar.link else whole


def _x(seconds: float, end: float) -> float:
    share = math.log(max(seconds, FIRST) / FIRST) / math.log(end / FIRST)
    return LABEL + (WIDE - LABEL - RIGHT) * min(max(share, 0.0), 1.0)


def _name(tick: float) -> str:
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")):
        if tick >= size:
            return f"{tick / size:g} {unit}"
    return f"{tick * 1000:g} ms"
