"""Names that people look for and that numgraph has not: what to use instead."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any

# (names, what there is)
_ABSENT = (
    (
        "fori_loop for_loop",
        "use ng.scan(step, outputs_info=start, n_steps=n), whose step may return ng.until(condition) to end it",
    ),
    (
        "RandomStream RandomStreams MRG_RandomStreams shared_randomstreams normal uniform binomial rand randn "
        "multinomial bernoulli dropout",
        "random numbers come from a stream: rng = ng.random.RandomStream(seed=1), then rng.normal(size=x.shape), "
        "rng.dropout(x) and so on",
    ),
    ("lax", "use ng.ifelse, ng.cond, ng.scan or ng.while_loop"),
    (
        "conv",
        "use ng.conv2d(x, w), or ng.conv1d and ng.conv3d; flip=True turns the filters, as mathematics does",
    ),
    (
        "max_pool max_pool2d max_pool_2d avg_pool avg_pool2d pool_2d pool",
        'use ng.pool2d(x, size, mode="max"), or ng.pool1d and ng.pool3d; modes are max, mean and sum',
    ),
    ("nlinalg slinalg", "linear algebra stands in ng.linalg, under NumPy's names, and in numgraph itself"),
    ("jacrev jacfwd", "use ng.jacobian(y, x)"),
    ("vjp", "use ng.Lop(y, x, v)"),
    ("jvp", "use ng.Rop(y, x, v)"),
    ("hvp", "use ng.hessian_vector_product(cost, x, v)"),
    ("stop_gradient", "use ng.disconnected_grad(x)"),
    ("custom_vjp", "use ng.custom_gradient(function, *inputs, grad=rule)"),
    ("Assert assert_", "use ng.assert_op(x, condition, message=...)"),
    ("multi_dot", "use ng.linalg.multi_dot, or ng.matrix_dot(*matrices)"),
    (
        "SGD Adam AdamW RMSprop Adagrad Adadelta optimizer optimizers adam sgd rmsprop adagrad adadelta adamw",
        "training methods stand in ng.optim: updates=ng.optim.adam(cost, params)",
    ),
    ("logdet", "use ng.slogdet(x), which gives (sign, logarithm)"),
    ("array asarray Tensor", "use ng.constant(value), or ng.shared(value) for one that is kept and updated"),
    ("as_tensor", "use ng.as_tensor_variable(value)"),
    (
        "grads value_and_grad",
        "use ng.grad(cost, wrt), where wrt may be a list; cost and gradients may be outputs",
    ),
    ("jit", "use ng.function(inputs, outputs), which compiles an expression"),
    ("vmap", "use ng.vectorize(y, {x: xs}), or give the arrays one more axis: operations broadcast"),
    ("nnet nn functional", "ng.softmax, ng.sigmoid, ng.relu and the like stand in numgraph itself"),
    ("gather", "use x[indices], or ng.take(x, indices, axis)"),
    ("index_update", "use ng.set_subtensor(x[indices], value)"),
    ("scatter", "use ng.inc_subtensor(x[indices], value), or ng.set_subtensor"),
    ("cross_entropy", "use ng.categorical_crossentropy or ng.binary_crossentropy"),
    (
        "binary_cross_entropy binary_cross_entropy_with_logits",
        "use ng.binary_crossentropy(p, y), ng.sigmoid_binary_crossentropy(x, y)",
    ),
    ("mse_loss l1_loss", "use ng.mean((x - y) ** 2), ng.mean(abs(x - y))"),
    ("kl_div rel_entr", "use ng.xlogy(p, p / q), or with logarithms p * (log_p - log_q), and ng.sum"),
    ("embedding", "use W[indices]"),
    (
        "scaled_dot_product_attention dot_product_attention",
        "use ng.softmax(ng.where(mask, q @ ng.swapaxes(k, -1, -2) / d**0.5, -numpy.inf), axis=-1) @ v",
    ),
    ("segment_sum index_add", "use ng.inc_subtensor(ng.zeros((n, *x.shape[1:]))[segments], x)"),
    ("associative_scan", "use ng.cumsum, ng.cumprod, ng.cummax, ng.logcumsumexp, or ng.scan"),
    ("concat", "use ng.concatenate(parts, axis)"),
    ("permute_dims permute", "use x.transpose(axes)"),
    ("absolute", "use ng.abs(x)"),
    ("argwhere", "use ng.stack(ng.nonzero(x), axis=1)"),
    ("polyval", "use ng.vander, or ng.foldl(lambda c, s: s * x + c, coefficients, ng.zeros_like(x))"),
    ("logmeanexp", "use ng.logsumexp(x, axis) - ng.log(x.shape[axis])"),
    ("evaluate", "use x.eval({y: value})"),
    ("placeholder variable", "use ng.scalar, ng.vector, ng.matrix or ng.tensor"),
)
ABSENT = {name: instead for names, instead in _ABSENT for name in names.split()}

# The same for attributes of variables.
_ATTRIBUTES = (
    ("backward grad", "use ng.grad(cost, x), which is an expression"),
    (
        "numpy item tolist data to_numpy block_until_ready",
        "it has no value before a function computes it: ng.function(inputs, x), or x.eval({y: value})",
    ),
    (
        "value assign assign_add assign_sub",
        "values change by updates= of ng.function; set_value and get_value of ng.shared",
    ),
    ("detach stop_gradient requires_grad requires_grad_", "use ng.disconnected_grad(x) where no gradient is to flow"),
    ("cpu cuda to device", 'use target="cuda" of ng.function; x.astype(dtype) converts'),
    ("view", "use x.reshape(shape)"),
    ("unsqueeze", "use x[:, None], or ng.expand_dims(x, axis)"),
    ("permute", "use x.transpose(axes)"),
    ("at", "use ng.set_subtensor(x[indices], value), or ng.inc_subtensor"),
    ("matmul mm bmm", "use x @ y"),
    ("get_shape", "use x.shape, or x.type.shape for the lengths that are known"),
)
ATTRIBUTES = {name: instead for names, instead in _ATTRIBUTES for name in names.split()}


def absent(name: str, there: Collection[str]) -> str:
    """The message for a name that numgraph has not. there: the names that it has."""
    said = f"module 'numgraph' has no attribute {name!r}"
    if name in ABSENT:
        return f"{said}\n  {ABSENT[name]}"
    # tools ask each name of a module for __wrapped__ and the like, and a search takes milliseconds
    near = [] if name.startswith("__") else difflib.get_close_matches(name, there, 1, 0.8)
    return f"{said}\n  fix: did you mean ng.{near[0]}?" if near else said


class Absent:
    """An attribute of other libraries' variables, which ours have not: also setting it says what to do."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, obj: Any, kind: type) -> Any:
        if obj is None:
            return self
        raise AttributeError(lacking(kind.__name__, self.name), name=self.name, obj=obj)

    def __set__(self, obj: Any, value: Any) -> None:
        raise AttributeError(lacking(type(obj).__name__, self.name), name=self.name, obj=obj)


def lacking(kind: str, name: str) -> str:
    """The message for an attribute that variables have not. kind: the class."""
    said = f"{kind!r} object has no attribute {name!r}"
    return f"{said}\n  {ATTRIBUTES[name]}" if name in ATTRIBUTES else said
