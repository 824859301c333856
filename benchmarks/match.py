"""Benchmark of matching, side by side: `python benchmarks/match.py [--rules 100 20] [--rounds 3]`.

The same rules in five shapes (equality and `in`, prefix, pattern, numbers, or and not), all on one
type of event, and the same events, through Ringback's rule set and through three other expression
libraries, one core each, in turn. Ringback's figure is all of `match`: the index, the fields, the
conditions and a verdict for each rule that did not fire; the others' is the conditions alone, each
compiled before. All must agree on how many rules fire.

Then rules that an index passes over: a thousand on other numbers, and a thousand on one type that
look for a keyword each (one of them fires), in processor time, with what building them costs.

The peers' Python packages are put into a virtual environment of their own, in the cache directory,
on the first run; a peer that cannot be installed is named and left out.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ringback.events import Event
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import compile_rule
from ringback.rules.language.cel import Language
from ringback.rules.language.scope import NoFacts
from ringback.rules.model import Rule, RuleSpec

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ringback-bench"
PEERS = {
    "cel-python": "cel-python>=0.5,<0.6",
    "jinja2": "Jinja2>=3.1,<4",
    "rule-engine": "rule-engine>=5.1,<6",
}
EVENTS = 200
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
REACH = {100: 2000, 20: 5000}
INDEXED_REACH = {"on other numbers": 10.0, "with a keyword each": 400.0}
"""Processor time for one event with 1,000 rules, in microseconds."""


def conditions(count: int) -> list[dict[str, str]]:
    """Each condition in the four spellings."""
    made = []
    for n in range(count):
        code, number = 30000 + n, f"+1555{n:07d}"
        shapes = [
            {
                "cel": f"event.error_code == {code} && event.status in ['failed', 's{n}']",
                "jinja2": f"error_code == {code} and status in ['failed', 's{n}']",
                "rule-engine": f"error_code == {code} and status in ['failed', 's{n}']",
            },
            {
                "cel": f"event.from.startsWith('+1555{n % 10}')",
                "jinja2": f"sender.startswith('+1555{n % 10}')",
                "rule-engine": f"sender.starts_with('+1555{n % 10}')",
            },
            {
                "cel": f"event.body.matches(r'(?i)order\\s+#?{n % 7}\\d+')",
                "jinja2": f"body is search('(?i)order\\\\s+#?{n % 7}\\\\d+')",
                "rule-engine": f"body =~~ '(?i)order\\\\s+#?{n % 7}\\\\d+'",
            },
            {
                "cel": f"event.error_code >= {code} && event.error_code < {code + 3}",
                "jinja2": f"error_code >= {code} and error_code < {code + 3}",
                "rule-engine": f"error_code >= {code} and error_code < {code + 3}",
            },
            {
                "cel": f"event.status == 's{n}'"
                f" || !(event.to == '{number}' || event.error_code > {n})",
                "jinja2": f"status == 's{n}' or not (to == '{number}' or error_code > {n})",
                "rule-engine": f"status == 's{n}' or not (to == '{number}' or error_code > {n})",
            },
        ]
        made.append(shapes[n % len(shapes)])
    return made


def facts() -> list[dict[str, Any]]:
    """The events as plain data, the same for all."""
    return [
        {
            "body": f"Hello, my order #{n % 60} is late" if n % 3 else "When are you open?",
            "sender": f"+1555{n * 37 % 10_000_000:07d}", "to": "+12125550101",
            "status": "failed" if n % 4 == 0 else "undelivered", "error_code": 30000 + n % 120,
        }
        for n in range(EVENTS)
    ]  # fmt: skip


class Ours:
    """Ringback's rule set in this process."""

    def __init__(self, rules: list[dict[str, str]], events: list[dict[str, Any]]) -> None:
        language = Language()
        compiled = []
        for number, spelled in enumerate(rules):
            words = {"on": "message.failed", "if": spelled["cel"]}
            rule = compile_rule(RuleSpec(f"r{number}", print, words, "x.py", 1), language)
            assert isinstance(rule, Rule), rule
            compiled.append(rule)
        self.ruleset = RuleSet(compiled, language)
        self.events = [
            Event(
                f"evt_{n}", "message.failed", NOW, NOW, sender=each["sender"], recipient=each["to"],
                conversation=f"{each['to']}/{each['sender']}", subject_sid=f"SM{n:032x}",
                status=each["status"], error_code=each["error_code"], fields={"Body": each["body"]},
            )
            for n, each in enumerate(events)
        ]  # fmt: skip

    def run(self) -> tuple[float, int]:
        """Microseconds for one event, and how many rules fired in all."""
        past = NoFacts()
        start = time.perf_counter()
        fired = sum(len(self.ruleset.match(event, past).fired) for event in self.events)
        return (time.perf_counter() - start) / len(self.events) * 1e6, fired


def indexed(count: int, rounds: int) -> bool:
    """Print what rules cost that an index passes over; whether it is within reach."""
    cases = {
        "on other numbers": [{"to": f"+1999{n:07d}"} for n in range(count)],
        "with a keyword each": [{"if": f"event.body.keyword('word{n}')"} for n in range(count)],
    }
    events = [
        Event(
            f"evt_{n}", "message.received", NOW, NOW, sender=f"+1555{n:07d}",
            recipient="+12125550101", conversation=f"+12125550101/+1555{n:07d}",
            fields={"Body": f"Hello, I ask about word{n * 7 % count}: when are you open?"},
        )
        for n in range(EVENTS)
    ]  # fmt: skip
    good = True
    print(f"\n{count} rules that an index passes over, processor time")
    print(f"{'':<22}{'µs/event':>10}{'range':>16}{'to build':>12}")
    for name, words in cases.items():
        start = time.process_time()
        language = Language()
        rules = []
        for number, each in enumerate(words):
            spec = RuleSpec(f"r{number}", print, {"on": "message.received", **each}, "x.py", 1)
            rule = compile_rule(spec, language)
            assert isinstance(rule, Rule), rule
            rules.append(rule)
        ruleset = RuleSet(rules, language)
        past = NoFacts()
        ruleset.match(events[0], past)
        built = time.process_time() - start
        costs = []
        for _ in range(max(rounds, 3)):
            start = time.process_time()
            for event in events:
                ruleset.match(event, past)
            costs.append((time.process_time() - start) / len(events) * 1e6)
        middle = sorted(costs)[len(costs) // 2]
        span = f"{min(costs):.1f} to {max(costs):.1f}"
        print(f"{name:<22}{middle:>10.1f}{span:>16}{built:>10.2f} s")
        if count == 1000 and middle > INDEXED_REACH[name]:
            print(f"above the {INDEXED_REACH[name]:.0f} µs that are to be reached")
            good = False
    return good


def peers_python() -> Path | None:
    """The interpreter of the peers' environment, made on the first run; None when it cannot be."""
    python = CACHE / "match" / "bin" / "python"
    if not python.exists():
        print(f"making the peers' environment in {CACHE} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(CACHE / "match")], check=True)
        install = [str(python), "-m", "pip", "install", "-q", *PEERS.values()]
        subprocess.run(install, check=False)
    return python if python.exists() else None


def peer(
    python: Path, name: str, rules: list[dict[str, str]], events: list[Any]
) -> tuple[float, int]:
    """The same of a peer, in its own process. Raises RuntimeError with its reason."""
    work = {
        "name": name,
        "rules": [each["cel" if name == "cel-python" else name] for each in rules],
    }
    done = subprocess.run(
        [str(python), str(HERE / "peers" / "expressions.py")],
        input=json.dumps({**work, "events": events}),
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    answer = json.loads(done.stdout)
    return float(answer["microseconds"]), int(answer["fired"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rules", type=int, nargs="+", default=[100, 20])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--indexed", type=int, default=1000, help="rules that are passed over")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    python = None if options.no_peers else peers_python()
    events, good = facts(), True
    for count in options.rules:
        rules = conditions(count)
        ours = Ours(rules, events)
        best: dict[str, float] = {}
        missing: dict[str, str] = {}
        ours.run()
        for _ in range(options.rounds):
            micro, fired = ours.run()
            best["ringback"] = min(best.get("ringback", micro), micro)
            for name in PEERS if python else ():
                if name in missing:
                    continue
                try:
                    micro, theirs = peer(python, name, rules, events)  # type: ignore[arg-type]
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    missing[name] = str(error)
                    continue
                best[name] = min(best.get(name, micro), micro)
                if theirs != fired:
                    print(f"{name} fired {theirs} rules, ringback {fired}")
                    good = False
        print(f"\n{count} rules on one type of event, {EVENTS} events, {fired} fired")
        print(f"{'':<12}{'µs/event':>12}{'µs/rule':>10}{'events/s':>12}{'ringback is':>14}")
        for name, micro in best.items():
            ratio = f"{micro / best['ringback']:.1f}× faster" if name != "ringback" else ""
            print(f"{name:<12}{micro:>12.1f}{micro / count:>10.2f}{1e6 / micro:>12,.0f}{ratio:>14}")
        for name, why in missing.items():
            print(f"{name}: left out: {why}")
        reach = REACH.get(count)
        if reach and 1e6 / best["ringback"] < reach:
            print(f"below the {reach:,} events/s that are to be reached")
            good = False
    return 0 if indexed(options.indexed, options.rounds) and good else 1


if __name__ == "__main__":
    sys.exit(main())
