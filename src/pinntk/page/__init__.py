"""The page of a diagnosis: a record in, one HTML file out."""

from pinntk.page.html import render, write_page

__all__ = ["render", "write_page"]
