"""Pages of figures: every figure leads to as many rows, and what is empty is said to be so."""

import html
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from admission.console import DIGITS, EVER, Api
from admission.stories import OURS, PEOPLE
from ringback.console import figures
from ringback.store.sqlite.sqlite_files import connect_writer

PAGES = ("/console/failures", "/console/failures/30003", "/console/delivery", "/console/costs")
LINK = re.compile(r'<td class="figure"><a href="([^"]+)">([\d,]+)</a>')
ROW = re.compile(r"<tr[^>]*>\s*<td>(?:<input[^>]*> )?<time")


async def got(api: Api, path: str, status: int = 200, **query: Any) -> str:
    answer = await api.client.get(httpx.URL(f"http://node{path}"), params=query or None)
    assert answer.status_code == status, (path, answer.text)
    return answer.text


@pytest.mark.parametrize("path", PAGES)
async def test_a_figure_leads_to_as_many_rows(api: Api, path: str) -> None:
    page = await got(api, path, since=EVER)
    links = LINK.findall(page)
    assert links
    for link, figure in links:
        rows = await got(api, html.unescape(link))
        assert len(ROW.findall(rows)) == int(figure.replace(",", "")), link


@pytest.mark.parametrize("path", PAGES)
async def test_who_may_only_read_sees_no_number_of_a_person(reader: Api, path: str) -> None:
    page = await got(reader, path, since=EVER)
    plain = "".join(each for each in page if each.isalnum())
    assert not [digits for digits in DIGITS if digits in plain]
    assert OURS[1:] in plain or path in ("/console/failures", "/console/costs")


@pytest.mark.parametrize("path", PAGES[:3])
async def test_nothing_found_is_said_with_the_span(api: Api, path: str) -> None:
    """In the last hour nothing has happened here."""
    page = await got(api, path, since="1h")
    assert 'class="empty"' in page
    assert "in the last 1 hour" in page
    assert "<table" not in page


@pytest.mark.parametrize("path", [*PAGES, "/console/waiting"])
async def test_a_wrong_filter_is_a_page_with_the_mend(api: Api, path: str) -> None:
    page = await got(api, path, 400, sinec=EVER)
    assert "sinec" in page
    await got(api, path, 400, since="never")


async def test_failures_say_what_to_do(api: Api) -> None:
    """The code with its meaning, whose fault it is, and the steps."""
    page = await got(api, "/console/failures", since=EVER)
    assert "1 text or call failed" in page
    assert "recipient" in page
    assert "Handset is off" in page
    page = await got(api, "/console/failures/30003", since=EVER)
    assert "Try again after an hour" in page
    assert PEOPLE[2][1:] in "".join(each for each in page if each.isdigit())


async def test_delivery_says_when_there_are_too_few_to_tell(api: Api) -> None:
    page = await got(api, "/console/delivery", since=EVER)
    assert "too few to tell" in page
    assert re.search(r"<th scope=\"row\">delivered</th>\s*<td class=\"figure\"><a [^>]+>2<", page)


async def test_costs_name_the_letters_that_make_a_text_dear(api: Api) -> None:
    """A curly apostrophe makes two segments of one."""
    page = await got(api, "/console/costs", since=EVER)
    assert "’</bdi>: 6 segments in place of 3" in page
    assert "Nothing has left today" in await got(api, "/console/costs")


async def test_what_waits_is_listed_with_its_time(api: Api, reader: Api) -> None:
    page = await got(api, "/console/waiting")
    waits = (await api.get("/waiting"))["runs"]
    assert waits
    for each in waits:
        assert each["uid"] in page
        assert each["due_at"][:10] in page
    plain = "".join(each for each in await got(reader, "/console/waiting") if each.isalnum())
    assert not [digits for digits in DIGITS if digits in plain]


@pytest.mark.parametrize("path", ["failures", "delivery", "costs"])
async def test_a_page_and_the_api_say_where_they_stopped_counting(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Of a long span of a busy node not all can be counted in time."""
    whole = await api.get(f"/{path}", since=EVER)
    assert whole["looked_back_to"] is None
    monkeypatch.setattr(figures, "READ", 0 if path == "failures" else 2)
    some = await api.get(f"/{path}", since=EVER)
    assert some["looked_back_to"]
    assert some["items"] != whole["items"]
    page = await got(api, f"/console/{path}", since=EVER)
    assert "Only the newest" in page
    assert some["looked_back_to"][:10] in page


async def test_page_and_api_say_the_same(api: Api) -> None:
    """The same question, so the same figures."""
    failed = await api.get("/failures", since=EVER)
    page = await got(api, "/console/failures", since=EVER)
    figures_ = [int(figure) for _, figure in LINK.findall(page)]
    assert figures_ == [group["failures"] for group in failed["items"]]
    sent = await api.get("/delivery", since=EVER, by="rule")
    page = await got(api, "/console/delivery", since=EVER, by="rule")
    for group in sent["items"]:
        row = re.search(rf"<tr>\s*<th scope=\"row\">[^\n]*{group['rule']}.*?</tr>", page, re.S)
        assert row
        assert f">{group['texts']}</a>" in row.group()
    spent = await api.get("/costs", since=EVER)
    page = await got(api, "/console/costs", since=EVER)
    assert f">{spent['items'][0]['texts']}</a>" in page


async def test_a_search_for_a_number_lists_what_it_wrote_and_got(api: Api) -> None:
    answer = await api.client.post("http://node/console/find", data={"what": PEOPLE[0]})
    assert answer.status_code == 200, answer.text
    assert "newest events with this number" in answer.text
    assert len(re.findall(r'<tr id="evt_', answer.text)) > 1


@pytest.mark.parametrize("what", ["+1 212 555 9999", "no-such-rule", "99999999", "(", "+", "evt_"])
async def test_a_search_without_a_hit_says_so(api: Api, what: str) -> None:
    answer = await api.client.post("http://node/console/find", data={"what": what})
    assert answer.status_code == 200, answer.text
    assert "Nothing found" in answer.text


async def test_settings_have_their_sources_and_no_secret(api: Api) -> None:
    """What the command `config show` prints, and the plugins, the numbers and the audit trail."""
    page = await got(api, "/console/settings")
    for each in (await api.get("/settings"))["items"]:
        assert f"<code>{each['setting']}</code>" in page
    assert ">ringback.toml" in page
    assert ">menu</bdi></a>" in await got(api, "/console/settings/plugins")
    assert "come here" in await got(api, "/console/settings/numbers")
    assert "Nobody has done anything yet" in await got(api, "/console/settings/audit")
    await got(api, "/console/settings/audit", 400, whom="ada")
    await got(api, "/console/settings/channels/nobody/test", 404)


async def test_a_long_span_begins_at_a_whole_hour(api: Api) -> None:
    """Hours are what is counted once and kept; the address of its lists says so."""
    page = await got(api, "/console/delivery", since="7d")
    assert re.search(r"since=\d{4}-\d\d-\d\dT\d\d%3A00%3A00\.000Z&", html.unescape(page))


@pytest.mark.parametrize("seen", ["admin", "read"])
async def test_rows_of_live_hold_what_the_role_may_see(api: Api, reader: Api, seen: str) -> None:
    """Also of a number that stands in what somebody else said."""
    page = await got(api if seen == "admin" else reader, "/console/")
    plain = "".join(each for each in re.sub(r"<[^>]+>", "", page) if each.isalnum())
    assert "call me at" in page
    assert ("02071838751" in plain) == (seen == "admin")
    assert (PEOPLE[1][1:] in plain) == (seen == "admin")


@pytest.mark.parametrize("what", ["runs", "failed", "held"])
async def test_lists_of_a_rule_have_its_runs_and_what_the_gate_held(api: Api, what: str) -> None:
    """As many as the JSON API has; narrowed by time, none."""
    rule = "broken" if what == "failed" else "hours"
    if what == "held":
        states = [
            await api.get("/actions", rule=rule, state=each) for each in ("refused", "deferred")
        ]
        wanted = sum(len(each["items"]) for each in states)
    else:
        state = {"state": "failed"} if what == "failed" else {}
        wanted = len((await api.get("/runs", rule=rule, **state))["items"])
    page = await got(api, f"/console/rules/{rule}/{what}")
    assert len(ROW.findall(page)) == wanted
    assert wanted or "There is none" in page
    assert "There is none" in await got(api, f"/console/rules/{rule}/{what}", since="1h")
    await got(api, f"/console/rules/{rule}/{what}", 400, since="never")


async def test_silences_of_a_rule_lead_to_the_events(api: Api) -> None:
    page = await got(api, "/console/rules")
    found = re.search(r'<a href="(/console/\?rule=hours[^"]+)">(\d+)</a>', page)
    assert found
    rows = await got(api, html.unescape(found[1]))
    assert len(re.findall(r'<tr id="evt_', rows)) == int(found[2]) > 0


@pytest.mark.parametrize("who", ["admin", "read"])
async def test_what_was_put_off_is_listed_with_whom_it_is_for(
    project: Path, api: Api, reader: Api, who: str
) -> None:
    """Its number as the role may see it, and its time."""
    journal = project / "data" / "journal.db"
    with closing(connect_writer(journal)) as connection:
        find = "select uid, state, due_at from actions where kind = 'send_message'"
        uid, *was = connection.execute(find).fetchone()
        change = "update actions set state = ?, due_at = ? where uid = ?"
        connection.execute(change, ("deferred", "2031-03-04T08:00:00.000Z", uid))
        try:
            page = await got(api if who == "admin" else reader, "/console/waiting")
        finally:
            connection.execute(change, (*was, uid))
    assert uid in page
    assert "04 Mar 2031 08:00:00" in page
    assert ("•••" in page) == (who == "read")
    assert (f'name="mark-{uid}"' in page) == (who == "admin")
