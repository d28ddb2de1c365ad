"""dtypes as Theano's programs ask for them."""

from __future__ import annotations

from typing import Any

import numpy as np


def upcast(*dtypes: Any) -> str:
    """The name of the dtype that arrays of these dtypes combine to, by NumPy's table, as Theano has it."""
    return np.result_type(*(np.dtype(d) for d in dtypes)).name
