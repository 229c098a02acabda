"""Problems with an exact or verified solution, and the setups they are solved with.

>>> import pinntk as pk
>>> pk.library.wave1d(c=2).names
('values', 'velocity', 'residual')
>>> pk.library.wave1d_natural_gradient(c=2).training.steps
2500
"""

from pinntk.library.burgers import (
    burgers1d,
    burgers1d_adam,
    burgers1d_natural_gradient,
    cole_hopf,
)
from pinntk.library.helmholtz import helmholtz2d, helmholtz2d_adam, helmholtz2d_natural_gradient
from pinntk.library.kdv import kdv1d, kdv1d_adam, kdv1d_natural_gradient
from pinntk.library.kovasznay import kovasznay2d, kovasznay2d_adam, kovasznay2d_natural_gradient
from pinntk.library.poisson import (
    poisson1d,
    poisson1d_adam,
    poisson1d_natural_gradient,
    poisson1d_paper,
    poisson_nd,
    poisson_nd_adam,
    poisson_nd_natural_gradient,
)
from pinntk.library.reaction import (
    allen_cahn1d,
    allen_cahn1d_adam,
    allen_cahn1d_natural_gradient,
    reaction_diffusion1d,
    reaction_diffusion1d_adam,
    reaction_diffusion1d_natural_gradient,
)
from pinntk.library.registry import PROBLEMS, Entry, parameters
from pinntk.library.taylor_green import (
    taylor_green2d,
    taylor_green2d_adam,
    taylor_green2d_natural_gradient,
)
from pinntk.library.transport import (
    advection1d,
    advection1d_adam,
    advection1d_natural_gradient,
    convection1d,
    convection1d_adam,
    convection1d_natural_gradient,
    heat1d,
    heat1d_adam,
    heat1d_natural_gradient,
)
from pinntk.library.wave import wave1d, wave1d_adam, wave1d_natural_gradient, wave1d_paper

__all__ = [
    "PROBLEMS",
    "Entry",
    "advection1d",
    "advection1d_adam",
    "advection1d_natural_gradient",
    "allen_cahn1d",
    "allen_cahn1d_adam",
    "allen_cahn1d_natural_gradient",
    "burgers1d",
    "burgers1d_adam",
    "burgers1d_natural_gradient",
    "cole_hopf",
    "convection1d",
    "convection1d_adam",
    "convection1d_natural_gradient",
    "heat1d",
    "heat1d_adam",
    "heat1d_natural_gradient",
    "helmholtz2d",
    "helmholtz2d_adam",
    "helmholtz2d_natural_gradient",
    "kdv1d",
    "kdv1d_adam",
    "kdv1d_natural_gradient",
    "kovasznay2d",
    "kovasznay2d_adam",
    "kovasznay2d_natural_gradient",
    "parameters",
    "poisson1d",
    "poisson1d_adam",
    "poisson1d_natural_gradient",
    "poisson1d_paper",
    "poisson_nd",
    "poisson_nd_adam",
    "poisson_nd_natural_gradient",
    "reaction_diffusion1d",
    "reaction_diffusion1d_adam",
    "reaction_diffusion1d_natural_gradient",
    "taylor_green2d",
    "taylor_green2d_adam",
    "taylor_green2d_natural_gradient",
    "wave1d",
    "wave1d_adam",
    "wave1d_natural_gradient",
    "wave1d_paper",
]
