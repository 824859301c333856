"""Rounds of actions: no rule waits for the flood of another, and conversations keep their order."""

from ringback.store.actions import StoredAction
from ringback.worker.send.rounds import Rounds


def action(uid: str, rule: str, conversation: str = "", tries: int = 0) -> StoredAction:
    return StoredAction(
        uid=uid, run_uid="", event_uid="", rule=rule, kind="send_message", effect="message",
        params="{}", policy="", state="planned", reason="", remote_sid="", outcome="",
        planned_at="", due_at=None, send_by=None, tries=tries, collision_key="",
        conversation=conversation, depth=1,
    )  # fmt: skip


def taken(rounds: Rounds, many: int, *, ends: bool = True) -> list[str]:
    """The next so many, each of which enters at once."""
    found = []
    for _ in range(many):
        one = rounds.take()
        if one is None:
            break
        found.append(one.uid)
        (rounds.done if ends else rounds.entered)(one)
    return found


def test_a_flood_of_one_rule_does_not_hold_up_another() -> None:
    rounds = Rounds(48)
    for number in range(5000):
        rounds.put(action(f"flood {number}", "flood", f"us/{number}"))
    assert taken(rounds, 3) == ["flood 0", "flood 1", "flood 2"]
    rounds.put(action("reply", "other", "us/somebody"))
    assert "reply" in taken(rounds, 2)
    assert len(taken(rounds, 6000)) == 5000 - 4


def test_a_rule_that_waits_for_a_rate_gives_no_second_action() -> None:
    rounds = Rounds(48)
    for number in range(10):
        rounds.put(action(f"flood {number}", "flood", f"us/{number}"))
    first = rounds.take()
    assert first is not None
    assert rounds.take() is None
    rounds.put(action("reply", "other", "us/somebody"))
    assert taken(rounds, 2) == ["reply"]
    rounds.entered(first)
    assert taken(rounds, 1) == ["flood 1"]


def test_a_conversation_keeps_its_order_whoever_asks() -> None:
    """The turn of the second rule goes to what the first one said before to the same person."""
    rounds = Rounds(48)
    for number in range(100):
        rounds.put(action(f"flood {number}", "flood", f"us/{number}"))
    rounds.put(action("last of the flood", "flood", "us/ann"))
    rounds.put(action("reply", "other", "us/ann"))
    order = taken(rounds, 200)
    assert order.index("last of the flood") < order.index("reply") < 6
    assert len(order) == 102


def test_a_conversation_has_one_under_way_and_a_rule_its_share() -> None:
    rounds = Rounds(2)
    for number in range(3):
        rounds.put(action(f"ann {number}", "one", "us/ann"))
        rounds.put(action(f"bob {number}", "one", f"us/bob{number}"))
    assert taken(rounds, 9, ends=False) == ["ann 0", "bob 0"]


def test_what_was_tried_before_goes_first() -> None:
    rounds = Rounds(48)
    rounds.put(action("fresh", "one", "us/ann"))
    rounds.put(action("other", "two", "us/bob"))
    rounds.put(action("again", "one", "us/ann", tries=1))
    order = taken(rounds, 9)
    assert order[0] == "again"
    assert sorted(order) == ["again", "fresh", "other"]


def test_only_what_has_nothing_before_it_goes_without_its_turn() -> None:
    """Neither another of its conversation nor one of its rule, waiting or under way."""
    rounds = Rounds(2)
    first, second = action("first", "one", "us/ann"), action("second", "one", "us/bob")
    assert rounds.idle(first)
    rounds.claim(first)
    assert not rounds.idle(action("same person", "other", "us/ann"))
    assert rounds.idle(second)
    rounds.claim(second)
    assert not rounds.idle(action("too many of the rule", "one", "us/cyd"))
    rounds.done(first)
    rounds.put(action("waits", "one", "us/bob"))
    assert not rounds.idle(action("behind it", "one", "us/cyd"))
    assert rounds.idle(action("of another rule", "other", "us/cyd"))
    rounds.done(second)
    assert taken(rounds, 1) == ["waits"]
    assert rounds.idle(first)
