"""Rounds of actions that may be sent: one of each rule in turn, one conversation after the other.

So a rule that asks for thousands of texts does not hold up the reply of another. Within a
conversation everything goes in the order in which it came, whoever asked for it: the turn of a rule
in a conversation goes to what is first there.
"""

from collections import Counter, deque

from ringback.store.actions import StoredAction

Turns = dict[str, dict[str, int]]
"""By rule, the conversations in which it has actions, with their number; both in turn."""


class Rounds:
    """Actions in memory that wait to be taken. One rule has at most `most` of them under way.

    `take` gives one; `entered` says that it waits for no rate any more, and until then no other of
    its rule is given; `done` says that it has ended, and until then none of its conversation is.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lots: dict[str, deque[StoredAction]] = {}
        self._again: Turns = {}
        self._fresh: Turns = {}
        self._busy: set[str] = set()
        self._entering: dict[str, str] = {}
        self._under_way: Counter[str] = Counter()

    def put(self, action: StoredAction) -> None:
        """Let an action wait for its turn. What was tried before goes first."""
        key = place_of(action)
        lot = self._lots.setdefault(key, deque())
        (lot.appendleft if action.tries else lot.append)(action)
        places = self._turns(action).setdefault(action.rule, {})
        places[key] = places.get(key, 0) + 1

    def take(self) -> StoredAction | None:
        """The next action; None when there is none whose rule and conversation are free."""
        if not self._lots:
            return None
        entering = set(self._entering.values())
        for turns in (self._again, self._fresh):
            for rule in list(turns):
                if rule in entering or self._under_way[rule] >= self._most:
                    continue
                key = next((key for key in turns[rule] if key not in self._busy), None)
                if key is not None:
                    return self._given(turns, rule, key)
        return None

    def idle(self, action: StoredAction) -> bool:
        """Whether nothing is before an action that has not been put: neither in its conversation
        nor of its rule."""
        key, rule = place_of(action), action.rule
        if key in self._busy or key in self._lots or rule in self._fresh or rule in self._again:
            return False
        return self._under_way[rule] < self._most and rule not in self._entering.values()

    def claim(self, action: StoredAction) -> None:
        """Let that action go out without having been put; `done` follows."""
        self._busy.add(place_of(action))
        self._under_way[action.rule] += 1

    def behind(self, action: StoredAction) -> StoredAction | None:
        """What is first in the conversation of one that was given; nobody else can take it."""
        lot = self._lots.get(place_of(action))
        return lot[0] if lot else None

    def skip(self, action: StoredAction) -> None:
        """Take that one out: it has been decided about without a turn of its own."""
        self._remove(place_of(action))

    def entered(self, action: StoredAction) -> None:
        """It goes out, or has been decided about: the next of its rule may follow."""
        self._entering.pop(action.uid, None)

    def done(self, action: StoredAction) -> None:
        """It has ended: the next of its conversation may follow."""
        self.entered(action)
        self._busy.discard(place_of(action))
        self._under_way[action.rule] -= 1
        if not self._under_way[action.rule]:
            del self._under_way[action.rule]

    def _given(self, turns: Turns, rule: str, key: str) -> StoredAction:
        places = turns[rule] = turns.pop(rule)
        places[key] = places.pop(key)
        action = self._remove(key)
        self._busy.add(key)
        self._entering[action.uid] = action.rule
        self._under_way[action.rule] += 1
        return action

    def _remove(self, key: str) -> StoredAction:
        action = self._lots[key].popleft()
        if not self._lots[key]:
            del self._lots[key]
        own = self._turns(action)
        own[action.rule][key] -= 1
        if not own[action.rule][key]:
            del own[action.rule][key]
        if not own[action.rule]:
            del own[action.rule]
        return action

    def _turns(self, action: StoredAction) -> Turns:
        return self._again if action.tries else self._fresh


def place_of(action: StoredAction) -> str:
    """Where an action has its turn: its conversation, or itself when it is of none."""
    return action.conversation or action.uid
