"""The script `pinntk`: beside the package, whose import takes seconds, so that Ctrl-C is quiet."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from pinntk.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("Error: interrupted\n")
        raise SystemExit(130) from None
    run()
