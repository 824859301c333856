"""Entry point of the program `ringback`: an interrupt at any moment ends it with 130, quietly.

What is imported up here is built in, and `ringback` itself loads nothing: before `main` there is
only the start of Python, whose own traceback no program can keep from the terminal.
"""

import _signal  # type: ignore[import-not-found]  # `signal` without its enums
import _thread
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def main() -> None:
    """Load the shell and run it. Ctrl-C before it is there ends with 130 and says nothing."""
    ours = _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler
    if ours:  # else whoever started us lets no interrupt through
        _signal.signal(_signal.SIGINT, _end)
        sys.unraisablehook = _again
    from ringback.cli.held_signals import hold_signals

    hold_signals()
    from ringback.cli.main import run

    try:
        if ours:
            _signal.signal(_signal.SIGINT, _signal.default_int_handler)
        code = run()
        if ours:
            _signal.signal(_signal.SIGINT, _end)
    except BaseException as error:  # before `run` could catch it, or after
        if not _interrupted(error):
            raise
        code = 130
    sys.exit(code)


def _interrupted(error: "BaseException | None") -> bool:
    """Whether an interrupt is behind an error: Python before 3.12 makes a RuntimeError of one that
    comes while a class is made."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _end(_number: int, _frame: "FrameType | None") -> None:
    import os

    os._exit(130)


def _again(lost: "sys.UnraisableHookArgs") -> None:
    """Raise an interrupt once more that came where Python can only print it: in the destructor of
    an object, or in what the import system does behind an import."""
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    try:
        _thread.start_new_thread(_interrupt_soon, ())
    except RuntimeError:  # the interpreter is at its end
        return


def _interrupt_soon() -> None:
    from time import sleep

    sleep(0.01)  # the hook has returned by then
    _thread.interrupt_main()
