"""Training steps on the device: right, repeatable, the same with and without graphs, resident; what the host does."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import numgraph as ng
from bench import problems
from bench.gpu.elementwise import compared
from bench.gpu.tools import Context, Section, bits, call_seconds, least_seconds, relative_error
from bench.peers import Program, with_numgraph
from bench.problems import Sizes
from numgraph.cuda.array import from_host

KINDS = ("logreg", "mlp")
BATCHES = (20, 600, 6000)
TINY: Sizes = {"R": 24, "F": 11, "C": 3, "H": 5}
FULL: Sizes = {"R": 60_000, "F": 784, "C": 10, "H": 500}
# Relative errors that are allowed: of float32 sums in another order, over several steps.
TOLERANCE = 1e-4
STEPS = 4
# Launches of a step, at most, and microseconds that a call should take of the host.
LAUNCHES, HOST = {"logreg": 3, "mlp": 7}, 15.0
# Counts of the section on memory.
MANY = 10_000


def sizes_of(context: Context, batch: int) -> Sizes:
    """The problem with minibatches of `batch` rows."""
    return context.pick(TINY, FULL) | {"B": batch}


def batches(context: Context) -> tuple[int, ...]:
    """Rows of a minibatch."""
    return context.pick((5,), BATCHES)


def made(context: Context, kind: str, batch: int) -> tuple[Program, Sizes]:
    """numgraph's program."""
    sizes = sizes_of(context, batch)
    return with_numgraph.build(kind, sizes, 1, context.target), sizes


def outcome(program: Program, swept: bool, count: int) -> list[Any]:
    """The costs and the parameters after the first steps."""
    program.reset()
    if swept:
        assert program.sweep is not None
        costs = program.sweep(count)
    else:
        costs = [np.asarray(program.call(k)) for k in range(count)]
    return [np.asarray(costs).astype(np.float32), *(np.array(p) for p in program.state())]


def right(context: Context) -> Section:
    """Against float64, run twice, swept, and without graphs."""
    found = Section()
    rows = found.table("Training steps", "program", "relative error", "two runs", "swept", "without graphs")
    for kind in KINDS:
        for batch in batches(context):
            name = f"{kind}, batch {batch}"
            if context.over(found, name):
                return found
            program, sizes = made(context, kind, batch)
            count = min(STEPS, sizes["R"] // batch)
            first = outcome(program, False, count)
            want = problems.expected(kind, sizes, count)
            error = max(relative_error(a, b) for a, b in zip(first, want, strict=True))
            same = {
                "two runs": bits(outcome(program, False, count)) == bits(first),
                "swept": bits(outcome(program, True, count)) == bits(first),
                "without graphs": bits(_ungraphed(program, count)) == bits(first),
            }
            rows.append([name, error, *("equal" if held else "differ" for held in same.values())])
            found.check(f"{name}: right", error <= TOLERANCE, f"relative error {error:.2g}")
            for what, held in same.items():
                found.check(f"{name}: {what}", held, "equal bits" if held else "other bits")
    return found


def _ungraphed(program: Program, count: int) -> list[Any]:
    ng.config.cuda_graphs = False
    try:
        return outcome(program, False, count)
    finally:
        ng.config.cuda_graphs = True


def resident(context: Context) -> Section:
    """What a step costs the host and the bus, and that memory stays level."""
    found = Section()
    rows = found.table(
        "A step", "program", "launches", "bytes in", "bytes out", "allocations", "host µs", "µs, called", "µs, swept"
    )
    for kind in KINDS:
        for batch in batches(context)[:2]:
            name = f"{kind}, batch {batch}"
            if context.over(found, name):
                return found
            rows.append([name, *_step(context, found, kind, batch, name)])
    _level(context, found)
    return found


def _step(context: Context, found: Section, kind: str, batch: int, name: str) -> list[Any]:
    device = context.device
    program, sizes = made(context, kind, batch)
    available = sizes["R"] // batch
    for k in range(min(4, available)):
        program.call(k % available)
    device.wait()
    count = context.pick(4, 400)
    before, began = device.counts.copy(), time.perf_counter()
    for k in range(count):
        program.call(k % available)
    host = (time.perf_counter() - began) / count
    device.wait()
    called = (time.perf_counter() - began) / count
    did = device.counts.minus(before)
    counts = [n / count for n in (did.launches, did.bytes_in, did.bytes_out, did.allocations)]
    assert program.sweep is not None
    program.sweep(available)
    began = time.perf_counter()
    program.sweep(available)
    swept = (time.perf_counter() - began) / available
    if not context.simulated:
        found.check(f"{name}: at most {LAUNCHES[kind]} launches", counts[0] <= LAUNCHES[kind], f"{counts[0]:g}")
        found.aim(f"{name}: at most {HOST:g} µs of the host", host * 1e6 <= HOST, f"{host * 1e6:.1f}")
    found.check(f"{name}: at most 8 bytes in", counts[1] <= 8, f"{counts[1]:g}")
    found.check(f"{name}: no allocations", counts[3] == 0, f"{counts[3]:g}")
    return [*counts, *(s * 1e6 for s in (host, called, swept))]


def _level(context: Context, found: Section) -> None:
    """Free memory of the device before and after many steps."""
    bindings = getattr(context.device, "bindings", None)
    if bindings is None or context.over(found, "the level of memory"):
        return
    program, sizes = made(context, "logreg", batches(context)[0])
    available, levels = sizes["R"] // sizes["B"], []
    for _ in range(2):
        for k in range(MANY // 2):
            program.call(k % available)
            if k % 500 == 0 and context.over(found, "the level of memory"):
                return
        context.device.wait()
        # a device with bindings is a CudaDevice
        with context.device.use:  # type: ignore[attr-defined]
            levels.append(bindings.memory()[0])
    found.check(
        f"memory is level over {MANY} steps", levels[1] >= levels[0], f"{levels[0] - levels[1]} bytes less free"
    )


def chain(context: Context) -> tuple[Any, Any, list[Any]]:
    """A function that computes an elementwise chain on resident arrays; the result; the values of the arguments."""
    length = context.pick(999, 1 << 26)
    x, y = ng.vector("x", dtype="float32"), ng.vector("y", dtype="float32")
    values = [np.linspace(-2, 2, length, dtype=np.float32), np.linspace(1, -1, length, dtype=np.float32)]
    held = [ng.shared(v, name=n) for v, n in zip(values, "xy", strict=True)]
    out = ng.shared(np.zeros(length, np.float32), name="out")
    f = ng.function(
        [], [], updates=[(out, problems.chain(ng, x, y))], givens=dict(zip((x, y), held, strict=True)),
        target=context.target,
    )  # fmt: skip
    return f, out, values


def chains(context: Context) -> Section:
    """Elementwise work against a copy of as many bytes."""
    found = Section()
    device = context.device
    f, out, values = chain(context)
    length = len(values[0])
    f()
    want = problems.chain(problems.Plain, *(v.astype(float) for v in values))
    error = relative_error(out.get_value(), want)
    found.check("2 exp(-x x) + 3 tanh(y) x", error <= 1e-5, f"relative error {error:.2g}")
    count = context.pick(1, 20)
    f()
    device.wait()
    seconds = call_seconds(context, f, count)
    big = from_host(device, np.zeros(2 * length, np.float32))
    half = 4 * length
    copy = least_seconds(device, lambda: device.copy(big.address + half, big.address, half), context.pick(0.0, 0.02))
    rate, limit = 12 * length / min(seconds), 8 * length / copy
    others = {} if context.simulated else compared(found, *values, want)
    rows = found.table("Elementwise chain", "elements", "µs", "GB/s", "GB/s of a copy", "share", *others)
    others_us = [s * 1e6 for s in others.values()]
    rows.append([length, min(seconds) * 1e6, rate / 1e9, limit / 1e9, rate / limit, *others_us])
    if not context.simulated:
        found.aim("elementwise chain at 0.9 of a copy's bandwidth", rate / limit >= 0.9, f"{rate / limit:.2f}")
    return found


def small(context: Context) -> Section:
    """A few steps of everything, for the sanitizer to watch."""
    from bench.gpu.kernels import table_of_kernels

    found = Section()
    tiny = Context(context.device, context.target, context.end)
    for kind in KINDS:
        sizes = TINY | {"B": 5}
        program = with_numgraph.build(kind, sizes, 1, context.target)
        first = outcome(program, False, STEPS)
        error = max(relative_error(a, b) for a, b in zip(first, problems.expected(kind, sizes, STEPS), strict=True))
        found.check(f"{kind}: right", error <= TOLERANCE, f"relative error {error:.2g}")
        found.check(f"{kind}: swept", bits(outcome(program, True, STEPS)) == bits(first))
    kernels = table_of_kernels(tiny, timed=False)
    found.checks += kernels.checks
    return found
