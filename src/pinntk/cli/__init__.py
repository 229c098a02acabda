"""The command line."""

from pinntk.cli.app import app, main

__all__ = ["app", "main"]
