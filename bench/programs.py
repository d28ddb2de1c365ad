"""The numgraph side: the tutorial's training steps, as `numgraph.demo` has them."""

from __future__ import annotations

from numgraph.demo import models
from numgraph.demo.digits import Digits
from numgraph.demo.models import MODELS, SETTINGS, Program


def build(model: str, digits: Digits, batch: int, target: str | None = None) -> Program:
    """The compiled program of `model` ("logreg" or "mlp") on minibatches of `batch` rows."""
    return models.build(MODELS[model](digits.features, digits.classes), digits, batch, rate(model), target)


def rate(model: str) -> float:
    """The step size that both sides use."""
    return SETTINGS[model].rate
