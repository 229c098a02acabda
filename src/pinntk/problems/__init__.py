"""The library of problems, each with an exact or verified solution."""

from pinntk.problems.burgers1d import burgers1d, cole_hopf
from pinntk.problems.helmholtz2d import helmholtz2d
from pinntk.problems.poisson1d import poisson1d, poisson1d_paper
from pinntk.problems.registry import PROBLEMS, Entry, library_problem
from pinntk.problems.taylor_green2d import taylor_green2d
from pinntk.problems.transport1d import advection1d, heat1d
from pinntk.problems.wave1d import wave1d, wave1d_paper

__all__ = [
    "PROBLEMS",
    "Entry",
    "advection1d",
    "burgers1d",
    "cole_hopf",
    "heat1d",
    "helmholtz2d",
    "library_problem",
    "poisson1d",
    "poisson1d_paper",
    "taylor_green2d",
    "wave1d",
    "wave1d_paper",
]
