"""Stories: rules, settings, and what happens, drawn from a seed.

Each word of the rule language that decides whether a run starts, waits, queues or ends is in them,
in every combination that a rule file allows.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

OURS, OTHER = "+12025550100", "+12025550177"
PEOPLE = ("+442071838750", "+442071838751", "+442071838752")
"""In one time zone, which is UTC in March, when stories begin."""
BODIES = ("a", "b", "c", "x", "y")
_SECTIONS = """groups: {g: {}}
texts: {said: {en: "Said ${{ event.body }}", xx: "X ${{ message_count() }}"}}
"""
_COUNT = "count('message.received', '1m')"
_ECHO = "${{ event.body.or_else('E') }}"
_SPANS = (1.0, 2.0, 5.0, 9.0, 10.0, 31.0, 60.0, 61.0, 300.0, 3600.0, 90_000.0)

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Happens:
    """A row of the log: the route, the webhook's fields, and how well it is proven."""

    route: str
    fields: Fields
    trust: str = "signed"
    source: str = "webhook"


Step = Happens | tuple[Happens, ...] | float
"""What happens next: a webhook, several that are matched in one batch, or seconds that pass."""


@dataclass(frozen=True)
class Story:
    """Rules in YAML, the settings that are not the defaults, the rules in quarantine, the steps;
    whether runs are told apart by their numbers."""

    rules: str
    steps: tuple[Step, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    quarantined: Mapping[str, str] = field(default_factory=dict)
    numbered: bool = True


def text(body: str, who: str = PEOPLE[0], to: str = OURS, **more: str) -> Happens:
    """Somebody texts us."""
    return Happens(
        "message", {"From": who, "To": to, "Body": body, "SmsStatus": "received", **more}
    )


def status(word: str, who: str = PEOPLE[0], code: int = 0) -> Happens:
    """News of a text of ours."""
    fields = {"From": OURS, "To": who, "MessageStatus": word}
    return Happens("message/status", fields | ({"ErrorCode": str(code)} if code else {}))


def story(seed: int) -> Story:
    """The story of a seed, always the same."""
    rng = Random(seed)
    rules = [_rule(rng, f"r{number}") for number in range(rng.randint(1, 4))]
    _with_values(Random(f"values {seed}"), rules)
    _with_requests(Random(f"requests {seed}"), rules)
    quarantined = {rules[0]["name"]: "it blocked the worker"} if rng.random() < 0.08 else {}
    steps, settings = _steps(rng), _settings(rng)
    hooks = _with_others(Random(f"others {seed}"), rules, steps)
    if "recipient_per_hour" in settings or any("budget" in rule for rule in rules):
        steps = _apart(steps)
    _with_blocks(Random(f"blocks {seed}"), rules)
    _with_lists(Random(f"lists {seed}"), rules)
    _with_locks(Random(f"locks {seed}"), rules)
    text_of_rules = f"version: 1\n{_SECTIONS}{hooks}blocks: {json.dumps(_BLOCKS)}\n"
    text_of_rules += "rules: " + json.dumps(rules, indent=1)
    return Story(text_of_rules, tuple(steps), settings, quarantined)


def in_bursts(told: Story) -> Story:
    """The same story where what happens without a pause comes in one batch.

    Left apart is what a batch does not keep in order: an opt-out is heard before all else; a rule
    that counts the texts of everybody counts those of the whole batch; nothing is answered with
    itself, for the loop guard looks at the last texts on record, maybe of the whole batch; and of
    two runs that have asked somebody elsewhere, either may take the answer first, as either may
    take a lock. A run that asks a service goes on behind the whole batch: a story with one stays
    as it is.
    """
    if '"http": {' in told.rules:
        return told
    steps: list[Step] = []
    for step in told.steps:
        if isinstance(step, float) or _opts(step) or _starts(step):
            steps.append(step)
            continue
        burst, last = step if isinstance(step, tuple) else (step,), steps[-1] if steps else 0.0
        if isinstance(last, tuple):
            steps[-1] = last + burst
        else:
            steps.append(burst)
    rules = _in_batches(told.rules)
    rules = re.sub(r',\s*"to": "[^"]*",\s*"from": "[^"]*"', "", rules)
    rules = rules.replace('"at_once": true', '"at_once": false')
    own = r'\1"${{ event.from }}/${{ event.to }}"'
    rules = re.sub(r'("first": {\s*"key": )"[^"]*"', own, rules)
    return replace(told, rules=rules, steps=tuple(steps), numbered=False)


def crowded(seed: int) -> Story:
    """A story of a seed in which several people write at one moment, and rules count their runs by
    keys that these share."""
    rng, rules = Random(seed), list[dict[str, Any]]()
    for number in range(rng.randint(1, 3)):
        rule = _rule(rng, f"r{number}")
        if rng.random() < 0.85:
            rule["key"] = rng.choice(["all", "all", "${{ event.body }}"])
        if rng.random() < 0.7:
            rule["mode"] = rng.choice(["single", "restart", "queued", "queued"])
        rule.pop("budget", None)
        # A burst that is full and is restarted in the same batch has placed its call on a bench.
        rule["do"] = [step for step in rule["do"] if "call" not in step] or [_reply(rng)]
        rules.append(rule)
    steps: list[Step] = []
    for _ in range(rng.randint(2, 4)):
        size = rng.randint(2, 7)
        steps.append(tuple(text(rng.choice(BODIES), rng.choice(PEOPLE)) for _ in range(size)))
        steps.append(rng.choice(_SPANS))
    written = f"version: 1\n{_SECTIONS}rules: " + json.dumps(rules, indent=1)
    return Story(_in_batches(written), tuple(steps), numbered=False)


def _in_batches(rules: str) -> str:
    """Rules without what looks at a whole batch: see `in_bursts`."""
    return rules.replace(_COUNT, "message_count()").replace(_ECHO, "E ${{ event.body }}")


def _opts(step: Step) -> bool:
    fields = step.fields if isinstance(step, Happens) else {}
    return fields.get("Body") in ("STOP", "START") or fields.get("ErrorCode") == "21610"


def _starts(step: Step) -> bool:
    return isinstance(step, Happens) and step.route == "start"


def _apart(steps: list[Step]) -> list[Step]:
    """No two things at one moment: which conversation takes the last of a budget then is decided by
    who is quicker, on a node as well."""
    return [each for step in steps for each in (step, 0.137)]


def _settings(rng: Random) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if rng.random() < 0.2:
        chosen["quiet_hours"] = rng.choice(["16:30-17:05", "17:04-17:30", "17:10-09:00"])
    if rng.random() < 0.25:
        chosen["recipient_per_hour"] = rng.randint(1, 4)
    return chosen


def _steps(rng: Random) -> list[Step]:
    steps: list[Step] = []
    for _ in range(rng.randint(5, 14)):
        who, kind = rng.choice(PEOPLE[: rng.randint(1, 3)]), rng.random()
        if kind < 0.58:
            steps.append(text(rng.choice(BODIES), who, rng.choice([OURS, OURS, OURS, OTHER])))
        elif kind < 0.63:
            steps.append(text(rng.choice(["STOP", "START"]), who))
        elif kind < 0.7:
            word, code = rng.choice([("delivered", 0), ("failed", 30003), ("failed", 21610)])
            steps.append(status(word, who, code))
        else:
            steps.append(rng.choice(_SPANS))
    return steps


def _rule(rng: Random, name: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": name, "on": "message.received"}
    if rng.random() < 0.15:
        rule["on"] = rng.choice(["message.*", ["message.failed", "message.delivered"]])
    if rng.random() < 0.4:
        rule["if"] = rng.choice(_CONDITIONS)
    for word, odds, draw in _WORDS:
        if rng.random() < odds:
            rule[word] = draw(rng)
    kind = rng.random()
    if kind < 0.15:
        rule["once_after"] = rng.choice(["5s", "10s", "30s"])
        if rng.random() < 0.4:
            rule["max_wait"] = "31s"
    elif kind < 0.25:
        rule |= {"accumulate_within": rng.choice(["10s", "1m"]), "threshold": rng.randint(2, 3)}
    elif kind < 0.35:
        rule |= {"unless": rng.choice(_TRIGGERS), "within": rng.choice(["10s", "1m"])}
    if rng.random() < 0.12:
        rule["budget"] = {"per_day": rng.randint(1, 3)}
        rule["do"] = [rng.choice([_notify, _wait])(rng), _reply(rng)]
    else:
        rule["do"] = _do(rng, 0)
    return rule


def _with_values(rng: Random, rules: list[dict[str, Any]]) -> None:
    """Let some of the rules name values, ask for them, and change them between waits."""
    for rule in rules:
        if rng.random() < 0.3:
            rule["let"] = {
                "n": "${{ size(event.body) }}", "at": "${{ event.at }}",
                "said": ["${{ event.body }}", "!"], "half": 0.5,
            }  # fmt: skip
            lines = rule.get("if", [])
            asked = rng.choice(["n < 2", "said[0] != 'c'", "half < 1.0"])
            rule["if"] = [*(lines if isinstance(lines, list) else [lines]), asked]
            step = {"let": {"n": "${{ n + 10 }}", "old": "${{ now - at > duration('5s') }}"}}
            told = "V ${{ n }} ${{ vars.old }} ${{ said.join('') }} ${{ half * 3.0 }}"
            told += "${{ size(random_digits(4)) }} ${{ pick(['p']) }} ${{ next_of(['q', 'q']) }}"
            rule["do"] = [step, *rule["do"], step, {"notify": told}]


_BLOCKS: dict[str, Any] = {
    "asked": {
        "needs": ["q", "n"],
        "do": [
            {"ask": {"text": "${{ q }} ${{ n }}?", "if": "reply.body in ['x', 'y']", "as": "said",
                     "timeout": "1m", "tries": 2, "else": [{"notify": "none, ${{ q }}"}]}},
            {"let": {"n": "${{ n + 1 }}"}},
        ],
        "gives": "${{ said + string(n) }}",
    },
    "twice": {
        "needs": ["q"],
        "do": [
            {"run": {"block": "asked", "q": "${{ q }}", "n": 1, "as": "one"}},
            {"choose": [{"if": "one != '2'", "do": [{"wait": "5s"}]}]},
            {"run": {"block": "asked", "q": "again", "n": 7, "as": "two"}},
        ],
        "gives": ["${{ one }}", "${{ two }}"],
    },
}  # fmt: skip


def _with_blocks(rng: Random, rules: list[dict[str, Any]]) -> None:
    """Let some of the rules run blocks, with values and for one."""
    for rule in rules:
        if rng.random() < 0.25:
            block = rng.choice(["asked", "twice"])
            given = {"block": block, "q": "${{ event.body }}", "as": "home"}
            run = {"run": given | ({"n": 1} if block == "asked" else {})}
            told = {"notify": "B ${{ home }}"}
            rule["do"] = (
                [run, told, *rule["do"]] if rng.random() < 0.5 else [*rule["do"], run, told]
            )


def _with_others(rng: Random, rules: list[dict[str, Any]], steps: list[Step]) -> str:
    """Let another system deliver, some of it twice, and rules be started by hand; the section of
    the rule file that it needs."""
    if rng.random() < 0.6:
        return ""
    for number in range(rng.randint(1, 2)):
        rule = _rule(rng, f"h{number}")
        rule["on"] = rng.choice(["hook.shop", "hook.*", ["hook.shop", "rule.started"]])
        if rng.random() < 0.7:
            rule["if"] = rng.choice(["hook.n > 2", "has(hook.b) && hook.b", "hook.b"])
        rule["do"].append({"notify": "H ${{ hook.n }} ${{ event.from }}"})
        rules.append(rule)
    for rule in rules:
        if rng.random() < 0.2:
            rule["cancel_on"] = {"on": "hook.shop", "if": "reply.hook.n > 2"}
    for number in range(rng.randint(2, 5)):
        who, rule = rng.choice(["", *PEOPLE[:2]]), rng.choice(rules)["name"]
        said = {"n": rng.choice([1, 2, 3, 3.5]), **({"b": True} if rng.random() < 0.6 else {})}
        fields = {"id": rng.randint(0, 3) + 10 * number * rng.randint(0, 1), "phone": who, **said}
        happens = Happens("start", {"rule": rule, "to": who, **said})
        at = rng.randint(0, len(steps))
        steps.insert(at, happens if rng.random() < 0.4 else Happens("hook/shop", fields))
    return "hooks: {shop: {secret: {$env: SHOP}, phone: phone, id: id}}\n"


def _with_requests(rng: Random, rules: list[dict[str, Any]]) -> None:
    """Let some of the rules wait for the answer to a web request, which does not come."""
    for rule in rules:
        if rng.random() < 0.2:
            failed = [{"notify": "H ${{ order.status }} ${{ order.ok }}"}, *_do(rng, 1)]
            ask = {"url": "https://e.org/${{ event.body }}", "as": "order", "else": failed}
            rule["do"].insert(rng.randint(0, len(rule["do"])), {"http": ask})


def _with_lists(rng: Random, rules: list[dict[str, Any]]) -> None:
    """Let some of the rules do steps for each of a list."""
    for rule in rules:
        if rng.random() < 0.25:
            ask: dict[str, Any] = {"text": "E ${{ e }}?", "if": "reply.body == e", "as": "found"}
            ask |= {"timeout": rng.choice(["5s", "1m"]), "tries": rng.randint(1, 2)}
            first = rng.choice([{"ask": ask}, _wait(rng), _wait_for(rng)])
            each = {
                "of": rng.choice([["x", "y"], "${{ [event.body, 'a'] }}"]), "as": "e",
                "rounds": rng.randint(1, 2), "until": "found == 'x' || e == 'c'",
                "do": [first, {"notify": "E ${{ e }}"}],
                "else": [{"notify": "${{ 'never ' + e }}"}],
            }  # fmt: skip
            if "ask" in first and rng.random() < 0.5:
                who = {"timeout": "1m", "to": "${{ e }}", "from": OURS}
                each |= {"of": [*PEOPLE[1:], "${{ event.from }}"], "at_once": True}
                each["do"] = [
                    {"notify": "N"},
                    {"ask": who | ask | {"if": "reply.body in ['x', 'y']"}},
                ]
            elif "ask" not in first:
                each["do"] = [{"let": {"found": "${{ e }}"}}, first]
            rule["do"] = [*rule["do"], {"each": each}] if rng.random() < 0.5 else [{"each": each}]


def _with_locks(rng: Random, rules: list[dict[str, Any]]) -> None:
    """Let some of the rules go on only for the first."""
    for rule in rules:
        if rng.random() < 0.3:
            lock: dict[str, Any] = {"key": rng.choice(["k", "k", "${{ event.body }}"])}
            lock |= {"for": rng.choice(["5s", "1m", "1h"])} if rng.random() < 0.5 else {}
            lock |= {"do": [{"notify": "F"}, _wait(rng)]} if rng.random() < 0.5 else {}
            lock |= {"else": [_notify(rng), _wait(rng)]} if rng.random() < 0.6 else {}
            rule["do"].insert(rng.randint(0, len(rule["do"])), {"first": lock})


def _do(rng: Random, depth: int) -> list[Any]:
    kinds = [_reply, _notify, _reply, _send, _wait, _wait_for, _stop, _remember, _choose, _ask]
    kinds += [_member, _broadcast, _call]
    steps = [rng.choice(kinds[: 5 if depth else None])(rng) for _ in range(rng.randint(1, 4))]
    if not depth and rng.random() < 0.6:
        steps.insert(rng.randint(0, 1), rng.choice([_wait, _wait_for, _ask])(rng))
    return steps


def _reply(rng: Random) -> Any:
    return {
        "reply": rng.choice(
            ["R", "Hello ${{ event.body }}", _ECHO,
             "${{ t('said', event.body) }}",
             {"body": "Later", "at": "${{ event.at + duration('30s') }}"}]
        )
    }  # fmt: skip


def _notify(rng: Random) -> Any:
    told = ["${{ string(message_count()) }}", "N ${{ remembered('w') }}"]
    return {"notify": rng.choice([*told, "${{ string(count('message.received', '1m')) }}"])}


def _send(rng: Random) -> Any:
    return {"send": {"to": rng.choice([*PEOPLE, "${{ event.from }}"]), "body": "S"}}


def _wait(rng: Random) -> Any:
    until = {"until": "${{ event.at + duration('90s') }}"}
    return {"wait": rng.choice(["5s", "10s", "1m", "1h", until])}


def _wait_for(rng: Random) -> Any:
    return {"wait_for": {
        "on": rng.choice(["message.received", "message.delivered"]),
        "if": rng.choice(["reply.body in ['x', 'y']", "reply.type != event.type", "true"]),
        "timeout": rng.choice(["10s", "1m"]), "as": "w",
        "do": _do(rng, 1), "else": _do(rng, 1),
    }}  # fmt: skip


def _ask(rng: Random) -> Any:
    asked: dict[str, Any] = {
        "text": rng.choice(["Q", "Q ${{ event.body }}"]), "timeout": rng.choice(["10s", "1m"]),
        "tries": rng.randint(1, 3), "as": "w",
    }  # fmt: skip
    if rng.random() < 0.7:
        asked["if"] = rng.choice(["reply.body in ['x', 'y']", "reply.body.number() > 1.0"])
    if rng.random() < 0.5:
        asked["again"] = "A ${{ reply.body }}"
    if rng.random() < 0.3:
        asked |= {"to": rng.choice(PEOPLE), "from": rng.choice([OURS, OTHER])}
    if rng.random() < 0.7:
        asked["else"] = _do(rng, 1)
    return {"ask": asked}


def _call(rng: Random) -> Any:
    """A call in which the run goes on; in a story nobody ever answers."""
    return {"call": {
        "to": rng.choice(PEOPLE), "timeout": "10s",
        "do": [{"gather": {"say": "1", "choices": {"1": _do(rng, 1)}}}],
        "else": [{"notify": "no ${{ reply.type }}"}, *_do(rng, 1)],
    }}  # fmt: skip


def _stop(rng: Random) -> Any:
    return {"stop": rng.choice(["because", {"reason": "enough", "others": True}])}


def _remember(rng: Random) -> Any:
    return {"remember": {"w": "${{ event.body }}"}}


def _broadcast(rng: Random) -> Any:
    return {"broadcast": {"to": "groups.g", "body": "B", **rng.choice([{}, {"as": "ended"}])}}


def _member(rng: Random) -> Any:
    whom = rng.choice(["g", {"group": "g", "who": PEOPLE[0]}])
    return {rng.choice(["join", "join", "leave"]): whom}


def _choose(rng: Random) -> Any:
    return {"choose": [{"if": rng.choice(_CONDITIONS), "do": _do(rng, 1)}, {"else": _do(rng, 1)}]}


_CONDITIONS = (
    "event.body in ['a', 'b']", "event.body == 'a'", "event.body != 'x'",
    "message_count() % 2 == 1", "count('message.received', '1m') >= 2", "!replied_within('1m')",
    "heard_within('1m')", "remembered('w') == ''", "event.from in groups.g",
    "!(event.from in groups.g)", "event.body.number() > 1.0",
)  # fmt: skip
_TRIGGERS: tuple[Any, ...] = (
    {"on": "message.received", "if": "reply.body == 'x'"},
    {"on": "message.received", "if": "reply.body == event.body"},
    {"on": "message.received", "key": "${{ reply.body }}"},
    "message.delivered",
)
_WORDS: tuple[tuple[str, float, Callable[[Random], Any]], ...] = (
    ("once_within", 0.2, lambda rng: rng.choice(["5s", "1m", "1h"])),
    ("mode", 0.75, lambda rng: rng.choice(["single", "restart", "queued", "queued", "parallel"])),
    ("max", 0.4, lambda rng: rng.randint(1, 3)),
    ("key", 0.25, lambda rng: rng.choice(["all", "${{ event.body }}"])),
    ("cancel_on", 0.3, lambda rng: rng.choice(_TRIGGERS)),
    ("priority", 0.4, lambda rng: rng.randint(-1, 1)),
    ("backstop", 0.15, lambda rng: True),
    ("state", 0.12, lambda rng: rng.choice(["shadow", "draft", "draft", "off"])),
)
