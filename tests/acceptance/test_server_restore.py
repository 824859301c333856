"""PostgreSQL database put back: nothing that was sent since is sent again."""

import signal
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest

from acceptance.test_restore import PEOPLE, RULES, free, held, sent
from acceptance.test_server_node import run
from postgres.server import Server
from postgres.server import run as as_server


@pytest.fixture
def speed() -> str:
    """What the box has made is compared with the node's clock, so they run alike."""
    return "1"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_what_was_sent_after_a_backup_is_not_sent_again(
    make_node: Callable[..., Any], box: Any, own_postgres: Server
) -> None:
    """A base backup of the server, put back under a node that was killed."""
    node = make_node(
        {"rules/all.yaml": RULES}, RINGBACK_DATABASE_URL=own_postgres.create_database()
    )
    assert run(node, "cluster", "create").returncode == 0
    node.start()
    node.wait_ready()
    box.text(PEOPLE[0], "one")
    sent(node, 1)
    copy = own_postgres.folder / "copy"
    as_server(
        own_postgres.folder, own_postgres.binaries / "pg_basebackup", "-D", str(copy),
        "--checkpoint=fast", "--no-sync", "-d", own_postgres.url(),
    )  # fmt: skip
    for person in PEOPLE[1:4]:
        box.text(person, "two")
    sent(node, 4)
    assert held(node) == {}
    node.stop(signal.SIGKILL)
    own_postgres.stop()
    own_postgres.data.rename(own_postgres.folder / "lost")
    copy.rename(own_postgres.data)
    own_postgres.start()

    node.start()
    assert "put back" in node.until(lambda: held(node))["why"]
    free(node)
    box.text(PEOPLE[4], "three")
    sent(node, 5)
    made = Counter((message["to"], message["body"]) for message in box.messages())
    assert made == {
        (PEOPLE[0], "Got one"): 1, (PEOPLE[4], "Got three"): 1,
        **{(person, "Got two"): 1 for person in PEOPLE[1:4]},
    }  # fmt: skip
    node.stop()
    node.start().wait_ready()
    assert held(node) == {}, "it is held once"
    node.stop()
    lose_the_newest_attempt(node)
    node.start()
    why = node.until(lambda: held(node))["why"]
    assert "does not have all that was sent" in why
    free(node)
    node.until(lambda: node.ask("select 1 from actions where reason like 'found in Twilio%'"))
    assert len(box.messages()) == 5


def lose_the_newest_attempt(node: Any) -> None:
    """What a failover to a standby does that did not have the last commits yet: the marks are as
    they were, and the text is to be sent."""
    url = node.environ["RINGBACK_DATABASE_URL"]
    with closing(psycopg.connect(url, options="-c search_path=rb_p000", autocommit=True)) as server:
        server.execute(
            "update actions set state = 'planned', remote_sid = '', outcome = '', due_at = null "
            "where uid = (select action_uid from attempts order by id desc limit 1)"
        )
        server.execute("delete from attempts where id = (select max(id) from attempts)")
