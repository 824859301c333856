"""Phone numbers that can be bought: countries, and a search by kind.

https://www.twilio.com/docs/phone-numbers/api/availablephonenumber-resource. All are fictitious
ones, set aside by each country's authority for stories.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ringback.simulator.numbering import friendly, toll_free
from ringback.simulator.refusal import invalid, missing
from ringback.simulator.rest.route import Ask, Reply, route
from ringback.simulator.rest.settings import snake

USUAL, LARGEST = 30, 1000
CAPABLE = {"voice": True, "SMS": True, "MMS": True, "fax": False}
KINDS = ("Local", "TollFree", "Mobile")
FILTERS = {"InRegion": "region", "InLocality": "locality", "InPostalCode": "postal_code",
           "InLata": "lata", "InRateCenter": "rate_center"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where numbers of one prefix are at home."""

    prefix: str
    locality: str = ""
    region: str = ""
    postal_code: str = ""
    lata: str = ""
    latitude: float = 0.0
    longitude: float = 0.0


@dataclass(frozen=True, slots=True)
class Country:
    """What can be bought in a country: for each kind the beginnings of its numbers."""

    name: str
    places: dict[str, tuple[Place, ...]]


_AMERICAN = (
    Place("+141555501", "San Francisco", "CA", "94103", "722", 37.77, -122.42),
    Place("+121255501", "New York", "NY", "10001", "132", 40.71, -74.01),
    Place("+180855501", "Hilo", "HI", "96720", "834", 19.72, -155.09),
    Place("+131255501", "Chicago", "IL", "60601", "358", 41.88, -87.63),
)
COUNTRIES = {
    "AU": Country("Australia", {
        "Local": (Place("+613555001", "Melbourne", "VIC"), Place("+612555001", "Sydney", "NSW")),
        "Mobile": (Place("+614915701"),),
        "TollFree": (Place("+6118009757"),),
    }),
    "CA": Country("Canada", {
        "Local": (Place("+141655501", "Toronto", "ON", "M5H"),),
        "TollFree": (Place("+184455501"),),
    }),
    "GB": Country("United Kingdom", {
        "Local": (Place("+4420794600", "London", "London"),),
        "Mobile": (Place("+4477009001"),),
        "TollFree": (Place("+4480815700"),),
    }),
    "SE": Country("Sweden", {
        "Local": (Place("+46313900", "Gothenburg"),), "Mobile": (Place("+46701740"),),
    }),
    "US": Country("United States", {
        "Local": _AMERICAN, "TollFree": (Place("+188855501"), Place("+180055501")),
    }),
}  # fmt: skip


def kind_of(address: str) -> str:
    """The kind of a number of ours: `Local`, `Mobile` or `TollFree`."""
    return next(
        (
            kind
            for country in COUNTRIES.values()
            for kind, places in country.places.items()
            if any(address.startswith(place.prefix) for place in places)
        ),
        "TollFree" if toll_free(address) else "Local",
    )


def _country(ask: Ask) -> tuple[str, Country]:
    code = ask.ids[0]
    if code not in COUNTRIES:
        raise missing(ask.link)
    return code, COUNTRIES[code]


def _shape(ask: Ask, code: str, country: Country) -> dict[str, Any]:
    path = f"{ask.base}/AvailablePhoneNumbers/{code}"
    return {
        "country_code": code,
        "country": country.name,
        "uri": f"{path}.json",
        "beta": False,
        "subresource_uris": {snake(kind): f"{path}/{kind}.json" for kind in country.places},
    }


def countries(ask: Ask) -> Reply:
    rows = [_shape(ask, code, country) for code, country in COUNTRIES.items()]
    return Reply(200, {"countries": rows, "uri": ask.link})


def one(ask: Ask) -> Reply:
    return Reply(200, _shape(ask, *_country(ask)))


def search(ask: Ask) -> Reply:
    code, country = _country(ask)
    kind = ask.path.rpartition("/")[2]
    if kind not in country.places:
        raise missing(ask.link)
    size = ask.query.number("PageSize", USUAL, 1, LARGEST)
    rows: list[dict[str, Any]] = []
    for place, address in _free(ask, country.places[kind]):
        row = _number(code, place, address)
        if _fits(ask, row) and len(rows) < size:
            rows.append(row)
    return Reply(200, {"available_phone_numbers": rows, "uri": ask.link})


def _free(ask: Ask, places: tuple[Place, ...]) -> Iterator[tuple[Place, str]]:
    """A hundred for each beginning, without those that somebody has; any area code has some."""
    area = ask.query.text("AreaCode")
    if area:
        if not (area.isascii() and area.isdigit() and len(area) == 3):
            raise invalid(21451, f"AreaCode is not valid: {area[:20]}")
        known = [place for place in places if place.prefix[2:5] == area]
        places = tuple(known) or (Place(f"+1{area}55501"),)
    taken = {row.text("phone_number") for row in ask.world.numbers}
    for last in range(100):
        for place in places:
            address = f"{place.prefix}{last:02d}"
            if address not in taken:
                yield place, address


def _fits(ask: Ask, row: dict[str, Any]) -> bool:
    query = ask.query
    pattern = query.text("Contains")
    wanted = pattern if pattern.startswith("+") else f"*{pattern}*"
    capable = all(
        query.flag(f"{name.title()}Enabled") == can
        for name, can in row["capabilities"].items()
        if query.text(f"{name.title()}Enabled")
    )
    return (
        capable
        and (not pattern or fnmatchcase(row["phone_number"], wanted))
        and all(row[key] == query.text(name) for name, key in FILTERS.items() if query.text(name))
    )


def _number(code: str, place: Place, address: str) -> dict[str, Any]:
    return {
        "address_requirements": "none",
        "beta": False,
        "capabilities": dict(CAPABLE),
        "friendly_name": friendly(address),
        "iso_country": code,
        "lata": place.lata or None,
        "latitude": place.latitude or None,
        "locality": place.locality or None,
        "longitude": place.longitude or None,
        "phone_number": address,
        "postal_code": place.postal_code or None,
        "rate_center": place.locality.upper() or None,
        "region": place.region or None,
    }


ROUTES = (
    route("GET", "AvailablePhoneNumbers", "available.list", countries),
    route("GET", "AvailablePhoneNumbers/{}", "available.get", one),
    *(route("GET", f"AvailablePhoneNumbers/{{}}/{kind}", "available.search", search)
      for kind in KINDS),
)  # fmt: skip
