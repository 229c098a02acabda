"""The library of problems, each with an exact or verified solution."""

from pinntk.problems.burgers import burgers1d, cole_hopf
from pinntk.problems.helmholtz import helmholtz2d
from pinntk.problems.poisson import poisson1d, poisson1d_paper
from pinntk.problems.registry import PROBLEMS, Entry, library_problem
from pinntk.problems.taylor_green import taylor_green2d
from pinntk.problems.transport import advection1d, heat1d
from pinntk.problems.wave import wave1d, wave1d_paper

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
