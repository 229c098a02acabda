"""The entry point of the command: everything else is loaded within its reach, so that Ctrl-C is quiet."""

from __future__ import annotations

import signal
import sys
from typing import Any

#: What a shell expects of a command that a signal ended: 128 and the signal's number.
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


def main() -> None:
    """Run the command: errors become one message and exit code 2, never a traceback.

    SIGTERM works like Ctrl-C, and ends with code 143 where that ends with 130.
    """
    received: list[int] = []

    def terminate(number: int, frame: Any) -> None:
        del frame
        received.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)
    code: Any = 0
    try:
        from pinntk.cli.app import run_app  # JAX takes a second, in which Ctrl-C is one line too

        code = run_app()
    except KeyboardInterrupt:
        sys.stderr.write("Error: interrupted\n")
        code = INTERRUPTED
    if code == INTERRUPTED and received:
        code = TERMINATED
    if code:
        raise SystemExit(code)
