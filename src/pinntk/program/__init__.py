"""Work on traced programs: run them by a rule, merge equal parts, find what is used and how."""

from pinntk.program.interpreter import (
    CUSTOM,
    INLINED,
    RECOMPUTED,
    bind,
    interpret,
    is_variable,
    live,
    primitives,
    pruned,
    subjaxpr,
)
from pinntk.program.merging import SMALL, merge_equal
from pinntk.program.multiples import Multiple, evaluate, scaled
from pinntk.program.nonfinite import Cause, Trouble, cause_of, in_library
from pinntk.program.obstacles import SUSPECTS, explained
from pinntk.program.operations import operations
from pinntk.program.recording import Argument, arguments_of
from pinntk.program.uses import (
    Product,
    Scale,
    Uses,
    View,
    find_uses,
    with_plain_operands,
)

__all__ = [
    "CUSTOM",
    "INLINED",
    "RECOMPUTED",
    "SMALL",
    "SUSPECTS",
    "Argument",
    "Cause",
    "Multiple",
    "Product",
    "Scale",
    "Trouble",
    "Uses",
    "View",
    "arguments_of",
    "bind",
    "cause_of",
    "evaluate",
    "explained",
    "find_uses",
    "in_library",
    "interpret",
    "is_variable",
    "live",
    "merge_equal",
    "operations",
    "primitives",
    "pruned",
    "scaled",
    "subjaxpr",
    "with_plain_operands",
]
