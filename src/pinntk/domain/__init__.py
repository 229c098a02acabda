"""Where points live and how they are laid."""

from pinntk.domain.regions import AbstractRegion, Box, Interval, Points, SpaceTime, Union
from pinntk.domain.samplers import AbstractSampler, LatinHypercube, Random, Sobol, UniformGrid

__all__ = [
    "AbstractRegion",
    "AbstractSampler",
    "Box",
    "Interval",
    "LatinHypercube",
    "Points",
    "Random",
    "Sobol",
    "SpaceTime",
    "UniformGrid",
    "Union",
]
