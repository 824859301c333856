"""Output of plugin code in a host: `print`, logging and what is written to descriptors 1 and 2.

All of it becomes lines of the worker's log under `ringback.plugin.NAME`. Of one call the first
`MOST_LINES` are sent, each as it comes; then one line says how many were dropped.
"""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable

MOST_LINES = 100
LONGEST_LINE = 2000
_PIECE = 1 << 16

Send = Callable[[int, str, str], None]
"""Sends a line: its level, its plugin, its text."""


class Budget:
    """What one call may still write, and what of it was dropped."""

    __slots__ = ("dropped", "left", "plugin")

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.left = MOST_LINES
        self.dropped = 0


class Output:
    """The output of this process, taken over. `current` gives the budget of the running call."""

    def __init__(self, send: Send, current: Callable[[], Budget]) -> None:
        self._send = send
        self.current = current
        self._pipe = -1
        self._streams = (_Stream(self, logging.INFO, 1), _Stream(self, logging.WARNING, 2))

    def take_over(self) -> None:
        """Let everything that this process writes come here. Standard input becomes empty."""
        _to_standard(os.open(os.devnull, os.O_RDONLY), 0)
        self._pipe, written = os.pipe()
        os.set_blocking(self._pipe, False)
        os.set_blocking(written, False)  # who writes more than is read between two calls loses it
        os.dup2(written, 1)
        _to_standard(written, 2)
        self.attach()
        root = logging.getLogger()
        root.handlers[:] = [_Handler(self)]
        root.setLevel(logging.INFO)
        logging.raiseExceptions = False

    def attach(self) -> None:
        """Put our streams back, should a plugin have replaced them."""
        sys.stdout, sys.stderr = self._streams

    def line(self, level: int, text: str) -> None:
        """One line of the running call."""
        budget = self.current()
        if budget.left <= 0:
            budget.dropped += 1
            return
        budget.left -= 1
        self._send(level, budget.plugin, text[:LONGEST_LINE])

    def end(self, budget: Budget) -> None:
        """A call has ended: send what stands in an unfinished line, and how much was dropped."""
        for stream in self._streams:
            stream.flush_rest()
        self._written()
        if budget.dropped:
            text = f"{budget.dropped} more lines were dropped"
            self._send(logging.WARNING, budget.plugin, text)
            budget.dropped = 0

    def _written(self) -> None:
        """What went to the descriptors themselves, as C code and other programs do."""
        try:
            data = os.read(self._pipe, _PIECE)
        except OSError:  # nothing, or a plugin has closed it
            return
        for text in data.decode("utf-8", "replace").splitlines():
            self.line(logging.INFO, text)


class _Stream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr` of a host."""

    encoding = "utf-8"

    def __init__(self, output: Output, level: int, number: int) -> None:
        self._output = output
        self._current = output.current
        self._level = level
        self._number = number
        self._rest = ""
        self.buffer = _Bytes(self)

    def write(self, text: str) -> int:
        budget = self._current()
        if budget.left <= 0:  # first, and in few steps: who floods pays for it with his own time
            if "\n" in text:
                budget.dropped += text.count("\n")
            return len(text)
        if "\n" not in text:
            if len(self._rest) < LONGEST_LINE:
                self._rest += text[:LONGEST_LINE]
            return len(text)
        *lines, rest = (self._rest + text).split("\n")
        self._rest = rest[:LONGEST_LINE]
        for line in lines:
            self._output.line(self._level, line)
        return len(text)

    def flush_rest(self) -> None:
        """Send a line that was not finished."""
        rest, self._rest = self._rest, ""
        if rest:
            self._output.line(self._level, rest)

    def close(self) -> None:
        """It stays open: the next call writes here too."""

    def flush(self) -> None:
        """Each line has been sent already."""

    def fileno(self) -> int:
        return self._number

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False


class _Bytes(io.RawIOBase):
    """The binary side of a stream."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def write(self, data: object) -> int:
        raw = bytes(data)  # type: ignore[call-overload]
        self._stream.write(raw.decode("utf-8", "replace"))
        return len(raw)

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """It stays open."""


class _Handler(logging.Handler):
    """Sends records under the plugin's name; those of other loggers name theirs."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        if self._output.current().left <= 0:
            self._output.line(record.levelno, "")
            return
        with contextlib.suppress(Exception):  # an argument whose __str__ raises
            text = self.format(record)
            if not record.name.startswith("ringback.plugin."):
                text = f"{record.name}: {text}"
            self._output.line(record.levelno, text)


def _to_standard(descriptor: int, number: int) -> None:
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
