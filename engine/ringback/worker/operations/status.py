"""Status of a running worker: what it is doing, for the shell, the health page and the console."""

from typing import Any

from ringback.worker.engine import Engine


async def status_of(engine: Engine) -> dict[str, Any]:
    """What a worker is doing and what it has on its hands."""
    claims = engine.confirmer.unanswered()
    return {
        "cursor": engine.matcher.cursor,
        "jobs": len(engine.queue) + engine.backlog.held,
        "sending": engine.sender.busy,
        "paused": engine.sender.paused,
        "held": await engine.hold.why(),
        **engine.sending.status(),
        "failing": {**engine.watch.failing, **({"confirm": claims} if claims else {})},
        "doubted": engine.confirmer.doubted(),
        "missed": engine.hooks.missed(),
        "rules": len(engine.loaded.ruleset.rules),
        "quarantined": dict(engine.matcher.quarantined),
        "overrides": {
            name: {"state": each.state, "file": each.file, "until": each.until, "by": each.by}
            for name, each in engine.overrides.in_force(engine.loaded.ruleset).items()
        },
    }
