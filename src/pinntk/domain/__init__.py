"""Regions, and samplers that place points in them."""

from pinntk.domain.box import Box, Interval, SpaceTime
from pinntk.domain.grid import Lines, Plane, lines, plane
from pinntk.domain.instant import Instant, first_instant
from pinntk.domain.points import Points
from pinntk.domain.region import GIVEN, AbstractRegion, Facts, check_region, evenly
from pinntk.domain.samplers import AbstractSampler, LatinHypercube, Random, Sobol, UniformGrid
from pinntk.domain.union import Union

__all__ = [
    "GIVEN",
    "AbstractRegion",
    "AbstractSampler",
    "Box",
    "Facts",
    "Instant",
    "Interval",
    "LatinHypercube",
    "Lines",
    "Plane",
    "Points",
    "Random",
    "Sobol",
    "SpaceTime",
    "UniformGrid",
    "Union",
    "check_region",
    "evenly",
    "first_instant",
    "lines",
    "plane",
]
