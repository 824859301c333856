"""Answers to calls that wait for TwiML: the worker's, or the fallback.

The worker decides, within a deadline. When it is late, dead or cannot be asked, the caller hears
the fallback from memory. The same request again gets the same answer and causes nothing new.
"""

import asyncio
import logging
from collections.abc import Callable

from ringback.config import Settings
from ringback.errors import RingbackError, StorageError
from ringback.ipc import Link
from ringback.receiver import responses
from ringback.receiver.dedupe import AnswerCache
from ringback.receiver.metrics import Counts
from ringback.receiver.responses import Answer
from ringback.store.log import Entry, Log
from ringback.twilio.kinds import Failed

_logger = logging.getLogger("ringback.receiver")

MOST_WAITING = 256
"""Calls that may wait for the worker at once; the next one gets the fallback straight away."""

MOST_UNHEARD = 1024
"""So many calls that heard the fallback are kept in mind until the worker knows of it."""
UNHEARD_SECONDS = 600.0
AGAIN_SECONDS = 0.25
"""After so long a worker that did not take it in is told again."""

MOST_TWIML = 64 * 1024
"""Twilio reads no longer document (error 11750)."""


class Calls:
    """Answers waiting calls, each request once."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        link: Link | None,
        wake: Callable[[int], object],
        counts: Counts,
    ) -> None:
        self._log = log
        self._link = link
        self._wake = wake
        self._counts = counts
        self._answers = AnswerCache(1024, 4 * 1024 * 1024)
        self._waiting: dict[str, asyncio.Task[str]] = {}
        self._unheard: dict[int, float] = {}
        self._telling: asyncio.Task[None] | None = None
        self.reload(settings)

    def reload(self, settings: Settings) -> None:
        """Wait as long, and fall back to what, these settings say."""
        self._seconds = settings.answer_seconds
        self._fallback = settings.fallback_twiml

    def take(
        self,
        key: str,
        entry: Entry,
        reply: Callable[[Answer], None],
        failed: Failed | None = None,
    ) -> None:
        """Record the request and answer it. `key` is its identity; `reply` gets the answer. What
        has `failed` is why Twilio asks its fallback address: an answer that it could not use is not
        given again, and of an answer to a step the worker knows more."""
        known = self._answers.get(key)
        if failed is not None and known is not None and failed.unusable:
            self._counts.add("duplicates", entry.route)
            reply(responses.twiml(self._fall_back("unusable")))
            return
        if failed is not None and (failed.unusable or failed.step):
            key += f" {failed}"
            known = self._answers.get(key)
        if known is not None:
            self._counts.add("duplicates", entry.route)
            reply(responses.twiml(known))
            return
        task = self._waiting.get(key)
        if task is None:
            if len(self._waiting) >= MOST_WAITING:
                reply(responses.twiml(self._fall_back("crowded")))
                return
            task = asyncio.get_running_loop().create_task(self._answer(key, entry))
            self._waiting[key] = task
        else:
            self._counts.add("duplicates", entry.route)
        task.add_done_callback(lambda done: reply(responses.twiml(self._text_of(done))))

    async def _answer(self, key: str, entry: Entry) -> str:
        log_id, text, reason, followed = 0, "", "", False
        try:
            async with asyncio.timeout(self._seconds):
                log_id = await self._log.append(entry)
                self._counts.add("recorded", entry.route, entry.trust)
                self._wake(log_id)
                text, reason, followed = await self._ask(log_id)
        except TimeoutError:
            reason = "late"
        except StorageError:
            reason = "storage"
        except RingbackError:
            reason = "worker"
        except Exception:
            _logger.exception("a waiting call could not be answered")
            reason = "error"
        finally:
            self._waiting.pop(key, None)
        if reason:
            text = self._fall_back(reason)
        if log_id:
            self._answers.put(key, text)
            if self._link is None:
                pass
            elif reason not in ("", "nobody"):
                self._was_unheard(log_id)  # an answer that is still wanted becomes a call update
            elif followed:
                self._link.tell({"op": "heard", "id": log_id})
        else:
            self._counts.add("twiml_unrecorded")
        return text

    async def _ask(self, log_id: int) -> tuple[str, str, bool]:
        """The worker's document, or why there is none to use; and whether something waits until the
        caller has got it."""
        if self._link is None:
            return "", "alone", False
        answer = await self._link.ask({"op": "answer", "id": log_id}, self._seconds)
        if "standby" in answer:
            return "", "standby", False
        text = answer.get("twiml")
        if not isinstance(text, str) or len(text.encode()) > MOST_TWIML:
            return "", "unusable", False
        return text, "" if text else "nobody", bool(answer.get("confirm"))

    def _was_unheard(self, log_id: int) -> None:
        """Tell the worker that this caller heard the fallback, until it has taken that in: the one
        that has written an answer may be dead, and the next one takes it for heard."""
        self._unheard[log_id] = asyncio.get_running_loop().time()
        if len(self._unheard) > MOST_UNHEARD:
            del self._unheard[next(iter(self._unheard))]
        if self._telling is None or self._telling.done():
            self._telling = asyncio.ensure_future(self._tell_unheard())

    async def _tell_unheard(self) -> None:
        loop = asyncio.get_running_loop()
        while self._unheard and self._link is not None:
            log_id, since = next(iter(self._unheard.items()))
            try:
                await self._link.ask({"op": "late", "id": log_id}, self._seconds)
            except RingbackError:
                if loop.time() - since < UNHEARD_SECONDS:
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
            self._unheard.pop(log_id, None)

    def close(self) -> None:
        """Tell the worker nothing more: this process ends."""
        if self._telling is not None:
            self._telling.cancel()

    def _fall_back(self, reason: str) -> str:
        self._counts.add("fallbacks", reason)
        return self._fallback

    def _text_of(self, done: "asyncio.Task[str]") -> str:
        return self._fall_back("stopping") if done.cancelled() else done.result()
