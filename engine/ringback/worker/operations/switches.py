"""Kill switch of a running worker: hold every effect, and let effects out again."""

import logging
from typing import Any

from ringback.errors import StorageError
from ringback.ipc import Message
from ringback.store.operations.doings import PAUSED, Doing
from ringback.worker.engine import Engine
from ringback.worker.operations.envelope import require_role

log = logging.getLogger(__name__)


class Switches:
    """Pauses and resumes a worker."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pauses = 0

    async def pause(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Hold sends from this moment on, whatever the disk says; it only decides whether that
        outlasts a restart. Raises StorageError when it does not."""
        self._pauses += 1
        self._engine.sender.paused = True
        log.warning("sending is paused")
        try:
            await self._note_switch("yes", doing)
        except StorageError as error:
            raise StorageError(
                "sending is stopped now, but that will not survive a restart, because it could not "
                f"be noted: {error}; mend that, and say `ringback pause` again"
            ) from error
        return {"state": "paused"}

    async def resume(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Let sends out again. Those that are held because the journal was put back may have been
        made already: that wants an explicit `may_duplicate`. Raises StorageError when it cannot be
        noted; a pause then stays as it is, and so does one that was said meanwhile."""
        if message.get("may_duplicate"):
            require_role(doing, "admin", "to send what may have been sent already")
        pauses = self._pauses
        try:
            await self._note_switch("", doing)
        except StorageError as error:
            raise StorageError(
                "sending does not go on, because that could not be noted: "
                f"{error}; mend that, and say `ringback resume` again"
            ) from error
        found = await self._resumed(pauses, bool(message.get("may_duplicate")))
        if found != {"state": "running"}:
            await self._engine.journal.doings.add(doing, found)
        return found

    async def _resumed(self, pauses: int, may_duplicate: bool) -> dict[str, Any]:
        if self._pauses > pauses:
            return {"state": "paused"}
        self._engine.sender.paused = False
        if may_duplicate:
            await self._engine.hold.end("a person let it out without looking for it at Twilio")
        await self._engine.sender.refill()
        await self._engine.prober.again()
        why = await self._engine.hold.why()
        if why:
            return {"state": "held", "why": why}
        stopped = self._engine.sending.status()["stopped"]
        if stopped:
            return {"state": "stopped", "why": f"{stopped[0]['says']}; {stopped[0]['mend']}"}
        log.warning("sending goes on")
        return {"state": "running"}

    async def _note_switch(self, value: str, doing: Doing) -> None:
        """Not by `write`: a refusal would restart the worker, which would forget the switch."""
        await self._engine.journal.meta.note(PAUSED, value, doing)
