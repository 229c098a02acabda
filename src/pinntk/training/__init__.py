"""Plans, setups, the training loop and its vectorized form, and run directories."""

from pinntk.training.compiled import (
    Chunk,
    Moment,
    Resumption,
    TrainState,
    check_sensitivity,
    initial_state,
)
from pinntk.training.defaults import default_setup, natural_setup
from pinntk.training.directory import RunDirectory, environment
from pinntk.training.ensemble import Look, Member, member_model, train_ensemble
from pinntk.training.history import Outcome, Result, Row, strict
from pinntk.training.loop import train
from pinntk.training.network import (
    AbstractNetwork,
    Drawn,
    Given,
    Network,
    no_scaling,
    points_scaling,
    standard_scaling,
    unit_scaling,
)
from pinntk.training.nondimensional import dimensional, is_scaled, nondimensional, order_one
from pinntk.training.observer import Observer, describe_row, progress_bar
from pinntk.training.plan import Training
from pinntk.training.resampling import (
    AbstractResampling,
    AsConditioned,
    ProgressivePoints,
    ResidualAdaptive,
    resized,
)
from pinntk.training.runs import open_run, resume_run, start_run, trained_model
from pinntk.training.setup import Setup, Start, precision
from pinntk.training.slab_model import SlabModel
from pinntk.training.slab_problem import check_marchable, has_time
from pinntk.training.slabs import TimeSlabs

__all__ = [
    "AbstractNetwork",
    "AbstractResampling",
    "AsConditioned",
    "Chunk",
    "Drawn",
    "Given",
    "Look",
    "Member",
    "Moment",
    "Network",
    "Observer",
    "Outcome",
    "ProgressivePoints",
    "ResidualAdaptive",
    "Result",
    "Resumption",
    "Row",
    "RunDirectory",
    "Setup",
    "SlabModel",
    "Start",
    "TimeSlabs",
    "TrainState",
    "Training",
    "check_marchable",
    "check_sensitivity",
    "default_setup",
    "describe_row",
    "dimensional",
    "environment",
    "has_time",
    "initial_state",
    "is_scaled",
    "member_model",
    "natural_setup",
    "no_scaling",
    "nondimensional",
    "open_run",
    "order_one",
    "points_scaling",
    "precision",
    "progress_bar",
    "resized",
    "resume_run",
    "standard_scaling",
    "start_run",
    "strict",
    "train",
    "train_ensemble",
    "trained_model",
    "unit_scaling",
]
