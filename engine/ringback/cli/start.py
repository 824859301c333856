"""Entry point of the program `ringback`: an interrupt while it is being loaded ends it quietly."""

import os
import signal


def main() -> None:
    """Load the shell and run it. Ctrl-C before it is there ends with 130 and says nothing."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
        from ringback.cli.main import main as shell

        signal.signal(signal.SIGINT, signal.default_int_handler)
    else:  # whoever started us lets no interrupt through
        from ringback.cli.main import main as shell
    shell()
