"""The command line."""

from pinntk.cli.main import main

__all__ = ["main"]
