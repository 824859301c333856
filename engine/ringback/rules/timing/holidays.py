"""Holidays: closed days, as dates or as a country's public ones."""

from datetime import date
from importlib import import_module
from typing import Any

_YEARS = range(2020, 2041)


def holidays_of(text: str) -> frozenset[date]:
    """The days that an entry means: `2026-12-25`, or `US`, `US-NY`, `DE-BY`.

    A country needs the package `holidays`. Raises ValueError that says what to write or install.
    """
    word = text.strip()
    if word[:4].isdecimal():
        try:
            return frozenset({date.fromisoformat(word)})
        except ValueError:
            raise ValueError(f"{word!r} is no date; write it like 2026-12-25") from None
    country, _, part = word.partition("-")
    try:
        holidays: Any = import_module("holidays")
    except ImportError:
        text = f"{word!r} needs the package 'holidays'; install it, or write dates like 2026-12-25"
        raise ValueError(text) from None
    try:
        days = holidays.country_holidays(country, subdiv=part or None, years=_YEARS)
    except (RuntimeError, KeyError, ValueError):  # the first: a country that it does not know
        raise ValueError(f"no holidays are known for {word!r}") from None
    return frozenset(days)
