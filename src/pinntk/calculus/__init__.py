"""Derivatives of a field at one point."""

from pinntk.calculus.field import AbstractField, Derivatives, Field, Point
from pinntk.calculus.taylor import second_order

__all__ = ["AbstractField", "Derivatives", "Field", "Point", "second_order"]
