"""Training helpers: each method is a function of cost and parameters that returns pairs for `function(updates=)`.

    train = ng.function([x, y], cost, updates=ng.optim.adam(cost, [W, b], 0.001))

Methods: `sgd`, `momentum`, `nesterov`, `adagrad`, `rmsprop`, `adadelta`, `adam`, `adamw`. What is clipped or changed
otherwise is given in the place of the cost, as a list of gradients: `clip_by_value`, `clip_by_norm`,
`clip_by_global_norm`. A hyperparameter is a number, a scalar shared variable, any scalar expression, or a function of
the number of steps done so far: `exponential_decay`, `cosine_decay`, `inverse_time_decay`, `piecewise`, `warmup`.
"""

from __future__ import annotations

from numgraph.optim.clipping import clip_by_global_norm, clip_by_norm, clip_by_value, global_norm
from numgraph.optim.methods import adadelta, adagrad, adam, adamw, momentum, nesterov, rmsprop, sgd
from numgraph.optim.schedules import cosine_decay, exponential_decay, inverse_time_decay, piecewise, warmup

__all__ = [
    "adadelta", "adagrad", "adam", "adamw", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "cosine_decay",
    "exponential_decay", "global_norm", "inverse_time_decay", "momentum", "nesterov", "piecewise", "rmsprop", "sgd",
    "warmup",
]  # fmt: skip
