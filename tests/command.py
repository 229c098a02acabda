"""The command `pinntk` inside the test process: arguments in; exit code, output and errors out."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import traceback

from pinntk.cli import main


def run_pinntk(*arguments: object) -> tuple[int, str, str]:
    """Run `pinntk ARGUMENTS` through its entry point: (exit code, standard output, standard error).

    An exception that `main` lets through is what a user would see as a traceback: exit code 1.
    """
    out, err = io.StringIO(), io.StringIO()
    argv = sys.argv
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    sys.argv = ["pinntk", *map(str, arguments)]
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
        finally:
            sys.argv = argv
            for number, handler in handlers.items():
                signal.signal(number, handler)
    assert isinstance(code, int)
    return code, out.getvalue(), err.getvalue()


def one_line(text: str) -> str:
    """Output without the line breaks that a terminal's width brings, for tests that look at words."""
    return " ".join(text.split())
