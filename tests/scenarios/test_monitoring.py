"""Metrics and log lines of the worker; the alert rules and the dashboard against the exposition."""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ringback.cli.serve import JsonLines
from ringback.receiver import gauges
from ringback.receiver.health import health_of
from ringback.receiver.metrics import Counts, exposition
from simulation.faults import calm
from simulation.story import Story

MONITORING = Path(__file__).parents[2] / "docs" / "monitoring"
ANN, BOB = "+12065550142", "+442079460123"
BODY = "We are open from 9 to 5."
RULES = f"""
version: 1
rules:
  - name: hours
    on: message.received
    if: event.body == 'hours'
    do: [{{reply: {BODY}}}]
"""
NAME = "ringback.action"
HOSTS = {
    "running": {"sync": 2, "async": 0}, "calls": {"done": 7, "failed": 0, "blocked": 1},
    "lost": {"host": 1, "forkserver": 0},
}  # fmt: skip
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def story(begin: Callable[..., Story], caplog: pytest.LogCaptureFixture) -> Story:
    """Ann gets an answer, Bob gets none (30003), and Twilio takes none of the third."""
    caplog.set_level(logging.INFO, NAME)
    lived = begin(rules=RULES)
    for faults, who in (
        (calm(), ANN),
        (replace(calm(), undelivered=1.0), BOB),
        (replace(calm(), create={"rejected": 1.0}), ANN),
    ):
        lived.twilio.faults = faults
        lived.receive(lived.text("hours", who))
        lived.run(lived.clock.now + 20.0)
    return lived


def status(story: Story) -> dict[str, Any]:
    """What the worker says of itself."""
    assert story.life is not None
    task = story.life.ask("status")
    story.run(story.clock.now + 1.0)
    found: dict[str, Any] = task.result()
    return found


def samples(worker: dict[str, Any]) -> tuple[Counts, Samples]:
    """The exposition of a node with this worker, parsed."""
    counts = Counts()
    gauges.show(counts, health_of({}, worker))
    text = exposition(counts)[0].decode()
    return counts, {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_metrics_count_actions_at_their_end(story: Story) -> None:
    worker = status(story)
    worker["last_row"] = worker["cursor"] + 3
    _, found = samples(worker)

    def ended(state: str, error_class: str) -> float:
        labels = (("class", error_class), ("kind", "send_message"), ("state", state))
        return found[("ringback_actions_ended_total", labels)]

    assert ended("settled", "") == 1
    assert ended("failed", "recipient_unreachable") == 1
    others = [
        value
        for (name, labels), value in found.items()
        if name == "ringback_actions_ended_total" and ("state", "failed") in labels
    ]
    assert sum(others) == 2
    assert found[("ringback_action_seconds_count", ())] == 3
    assert found[("ringback_action_seconds_bucket", (("le", "+Inf"),))] == 3
    assert 0 < found[("ringback_action_seconds_sum", ())] < 60
    assert found[("ringback_match_lag", ())] == 3
    assert found[("ringback_worker_up", ())] == 1
    assert found[("ringback_rules", ())] == 1


def test_while_the_worker_is_away_only_that_is_said(story: Story) -> None:
    """What only it knows is left out, also where it was there a moment ago."""
    counts, found = samples(status(story))
    gauges.show(counts, health_of({"worker": "away"}, {}))
    text = exposition(counts)[0].decode()
    assert "ringback_worker_up 0.0" in text
    for name in ("match_lag ", "rules ", "actions_ended_total{", "action_seconds_bucket"):
        assert f"ringback_{name}" not in text, name
    assert ("ringback_match_lag", ()) in found


def test_the_log_has_a_line_for_each_end_and_nothing_private(
    story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    """In text and as JSON: what became of it, whose rule, and no number or text of a person."""
    lines = [record for record in caplog.get_records("setup") if record.name == NAME]
    assert [record.levelname for record in lines] == ["INFO", "WARNING", "WARNING"]
    told = re.compile(
        r"act_\w{26} send_message of rule hours: settled after [\d.]+ s: delivered, SM"
    )
    assert told.match(lines[0].getMessage())
    assert "failed after" in lines[1].getMessage()
    assert "undelivered, error 30003 Handset is off" in lines[1].getMessage()
    rows = [json.loads(JsonLines().format(record)) for record in lines]
    assert [(row["state"], row["rule"]) for row in rows] == [
        ("settled", "hours"), ("failed", "hours"), ("failed", "hours"),
    ]  # fmt: skip
    assert rows[1]["code"] == 30003
    assert rows[1]["error_class"] == "recipient_unreachable"
    for word in (ANN, BOB, BODY):
        assert word not in json.dumps(rows)


def test_the_last_ends_are_told_before_the_worker_goes(
    begin: Callable[..., Story], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, NAME)
    lived = begin(replace(calm(), create={"rejected": 1.0}), rules=RULES)
    lived.receive(lived.text("hours", ANN))
    assert lived.life is not None
    while not lived.ask("select 1 from actions where state = 'failed'"):
        lived.run(lived.clock.now + 0.05)
    assert [each for each in caplog.records if each.name == NAME] == []
    lived.life.stop()
    lived.run(lived.clock.now + 10.0)
    told = [each.levelname for each in caplog.records if each.name == NAME]
    assert told == ["WARNING"]


def expressions() -> list[str]:
    """Every expression of the alert rules and the dashboard."""
    (group,) = yaml.safe_load((MONITORING / "prometheus-alerts.yml").read_text())["groups"]
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    found = [rule["expr"] for rule in group["rules"]]
    return found + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_alerts_and_dashboard_ask_for_what_there_is(story: Story) -> None:
    """Each name is in the exposition, with each label that is asked for or grouped by."""
    worker = status(story)
    worker |= {
        "breakers": ["messages"], "incidents": {"sending": 1}, "missed": {"shop.on_event": 2},
        "failing": {"repair": ("2026-01-01T00:00:00.000Z", "x")}, "hosts": HOSTS,
    }  # fmt: skip
    counts, _ = samples(worker)
    for name in ("answers", "recorded", "refused", "worker_restarts"):
        counts.add(name, *("x",) * {"answers": 2, "recorded": 2, "refused": 1}.get(name, 0))
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exposition(counts)[0].decode()):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    asked = expressions()
    assert len(asked) > 30
    for expression in asked:
        for name, chosen in re.findall(r"(ringback_\w+)(?:\{([^}]*)\})?", expression):
            assert name in labels, expression
            wanted = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", chosen))
            wanted |= set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", expression))))
            assert wanted <= labels[name], expression


def test_every_alert_says_what_to_do_or_what_is_wrong() -> None:
    (group,) = yaml.safe_load((MONITORING / "prometheus-alerts.yml").read_text())["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names)
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].rstrip().endswith((".", "?")), rule["alert"]


def test_the_metrics_tell_what_is_left_of_budgets(begin: Callable[..., Story]) -> None:
    """In all and by rule; a day that has begun since has its whole budget. No person is named."""
    rules = RULES.replace("    on:", "    budget: {per_day: 5, segments_per_day: 8}\n    on:")
    lived = begin(rules=rules, total_per_hour=50)

    def left() -> dict[tuple[str, str], tuple[float, float]]:
        _, found = samples(status(lived))
        return {
            (labels["rule"], labels["budget"]): (
                value, found[("ringback_budget_left", tuple(sorted(labels.items())))],
            )
            for (name, pairs), value in found.items()
            if name == "ringback_budget_size" and (labels := dict(pairs))
        }  # fmt: skip

    lived.receive(lived.text("hours", ANN))
    lived.receive(lived.text("hours", BOB))
    lived.run(lived.clock.now + 20.0)
    found = left()
    assert found[("hours", "per_day")] == (5, 3)
    assert found[("hours", "segments_per_day")] == (8, 6)
    assert found[("hours", "notices_per_day")] == (5, 5)
    assert found[("", "per_hour")] == (50, 48)
    assert {rule for rule, _ in found} == {"", "hours"}
    lived.set_clock(86400.0)
    found = left()
    assert found[("hours", "per_day")] == (5, 5)
    assert found[("hours", "segments_per_day")] == (8, 8)


def test_the_metrics_tell_of_the_processes_of_plugins() -> None:
    """While the worker is away they are left out, and no counter begins at 0 again."""
    counts, found = samples(
        {
            "hosts": HOSTS,
            "strikes": {"strike": 1, "fault": 0},
        }
    )
    assert found[("ringback_plugin_hosts", (("kind", "sync"),))] == 2
    assert found[("ringback_plugin_calls_total", (("result", "done"),))] == 7
    assert found[("ringback_plugin_restarts_total", (("process", "host"),))] == 1
    assert found[("ringback_plugin_strikes_total", (("kind", "strike"),))] == 1
    gauges.show(counts, health_of({"worker": "away"}, {}))
    text = exposition(counts)[0].decode()
    for name in ("plugin_hosts", "plugin_calls_total", "plugin_restarts_total", "budget_left"):
        assert f"ringback_{name}{{" not in text, name
