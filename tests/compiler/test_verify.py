"""The checker of schedules: faults that schedules have had, or could have, are put back, and it finds each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.compile import scheduled
from numgraph.config import config
from numgraph.elements import Elements, View, row_major
from numgraph.errors import ScheduleError
from numgraph.ir import Graph, Node
from numgraph.lengths.known import all_apart, apart
from numgraph.program import build_program
from numgraph.runtime import pattern
from numgraph.schedule import buffers, chunks, grid, ownership, stored
from numgraph.schedule.arrange import Arranger
from numgraph.schedule.fuse import Fuser
from numgraph.schedule.tasks import Task
from numgraph.traits import CPU, GRID, Traits

x, J, M = ng.vector("x"), ng.lvector("J"), ng.matrix("M")
k = ng.shared(np.array([2, 3]), "k")
p, q = ng.shared(np.zeros(6), "p"), ng.shared(np.arange(6.0), "q")


def check(outputs: Any, updates: Any = (), traits: Traits = CPU) -> None:
    """ScheduleError if the checker finds something in the program's schedule."""
    scheduled(build_program([x, J, M], outputs, updates, on_unused_input="ignore"), frozenset(), traits)


def test_a_base_that_the_value_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def once(self: Any, roots: Sequence[Node], updates: Any) -> dict[Node, Node]:
        return {}

    v = ng.exp(x) * 2
    w = ng.sort(x)
    programs = [ng.set_subtensor(v[J], v), ng.inc_subtensor(v[J], v[::-1]), ng.inc_subtensor(w[:3], w[1:4])]
    for program in programs:
        check([program])
    monkeypatch.setattr(ownership.Owner, "bases", once)
    for program in programs:
        with pytest.raises(ScheduleError, match=r"while .* uses other elements"):
            check([program])
    # the index is the base, or an operand of a product in its memory
    u = ng.sort(J)
    with pytest.raises(ScheduleError, match="while"):
        check([ng.set_subtensor(u[u], 1)])
    # an argument, and what is an output itself
    with pytest.raises(ScheduleError, match="where nothing lies"):
        check([ng.set_subtensor(x[:2], 1)])
    with pytest.raises(ScheduleError, match=r"should be|has been written|lies"):
        check([v, ng.set_subtensor(v[:2], 1)])


@pytest.mark.parametrize("traits", [CPU, GRID], ids=["cpu", "grid"])
def test_one_scatter_for_two_updates(monkeypatch: pytest.MonkeyPatch, traits: Traits) -> None:
    e = ng.inc_subtensor(q[1:], 1)
    check([], [(p, e), (q, e)], traits)
    # the first update had the node, and the other one a copy, whose variable the scatter was still to work in
    monkeypatch.setattr(ownership.Owner, "_is_owner", lambda self, u: False)
    monkeypatch.setattr(ownership.Owner, "bases", lambda self, roots, updates: {})
    with pytest.raises(ScheduleError, match="works in the memory of its base, where nothing lies"):
        check([], [(p, e), (q, e)], traits)


def test_a_reshape_that_is_filled_from_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_itself(self: Elements, node: Node) -> View | None:
        lengths = tuple(map(self.graph.find, node.dims))
        return View(node, 0, lengths, row_major(lengths)) if self.has_buffer(node) else original(self, node)

    original = Elements._reshaped_view
    program = ng.set_subtensor(x.reshape((3, 4))[0], 1.0)
    check([program])
    monkeypatch.setattr(Elements, "_reshaped_view", from_itself)
    with pytest.raises(ScheduleError, match=r"reads reshape #.*, which nothing has written"):
        check([program])


@pytest.mark.parametrize("traits", [CPU, GRID], ids=["cpu", "grid"])
def test_an_old_value_that_is_read_too_late(monkeypatch: pytest.MonkeyPatch, traits: Traits) -> None:
    def no_readers(self: Any, tasks: Any, *rest: Any) -> None:
        original(self, tasks, *rest)
        self.unread = {task: {} for task in self.late}
        self.waiting = {task: [] for task in tasks}

    original = ownership.Order.__init__
    updates = [(q, q * 2), (p, q + p)]
    check([q[::-1] + 1, (q * p).sum()], updates, traits)
    monkeypatch.setattr(ownership.Order, "__init__", no_readers)
    monkeypatch.setattr(Arranger, "before", lambda self, task: list(task.checks))
    with pytest.raises(ScheduleError, match=r"reads q #.*, where mul #.* has been written"):
        check([], [(q, q * 2), (p, q[::-1] + 1)], traits)


@pytest.mark.parametrize("traits", [CPU, GRID], ids=["cpu", "grid"])
def test_a_map_of_an_old_value_that_is_written_over(monkeypatch: pytest.MonkeyPatch, traits: Traits) -> None:
    """What a roll or a part of a join reads is other elements, however the loop over them is cut."""
    programs = [[(p, ng.roll(p, 1))], [(p, ng.concatenate([p[:3] * 2, p[3:]]))], [(p, ng.pad(p[1:], (0, 1)) + p)]]
    for updates in programs:
        check([], updates, traits)
    monkeypatch.setattr(ownership, "reads_only_own_element", lambda task, leaf: True)
    for updates in programs:
        with pytest.raises(ScheduleError, match=r"meets p .*while .*uses other elements"):
            check([], updates, traits)


@pytest.mark.parametrize("traits", [CPU, GRID], ids=["cpu", "grid"])
def test_maps_of_what_is_written_in_the_same_loop(monkeypatch: pytest.MonkeyPatch, traits: Traits) -> None:
    v, w = ng.exp(x) * 2, ng.tanh(M) * 2
    programs = [v + ng.roll(v, 1), ng.concatenate([v[1:], v[:1]]) * v, ng.roll(w, 1, 0) + w]
    check(programs, (), traits)
    monkeypatch.setattr(Arranger, "_same_iteration", lambda *rest: True)
    for program in programs:
        with pytest.raises(ScheduleError):
            check([program], (), traits)


def test_a_length_that_is_read_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    def operands(task: Task) -> list[Node]:
        return [load.inputs[0] for load in task.loads]

    new = k + 1
    program = [(x[: k[0]] * new[0]).sum()]
    check(program, [(k, new)], GRID)
    monkeypatch.setattr(Task, "operands", property(operands))
    with pytest.raises(ScheduleError, match=r"reads k #.*, where add #.* has been written"):
        check(program, [(k, new)], GRID)


def test_an_index_that_is_checked_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_checks(self: Any, tasks: Any, late: Any, *rest: Any) -> None:
        original(self, tasks, late, *rest)
        self.checks = {}

    original = ownership.Order.__init__
    new = q + 1
    updates = [(q, new)]
    program = [x[ng.cast(new, "int64")]]
    check(program, updates)
    monkeypatch.setattr(ownership.Order, "__init__", no_checks)
    with pytest.raises(ScheduleError, match="changes a shared variable before an index is checked"):
        check(program, updates)


@pytest.mark.parametrize("traits", [CPU, GRID], ids=["cpu", "grid"])
def test_other_elements_in_the_same_loop(monkeypatch: pytest.MonkeyPatch, traits: Traits) -> None:
    v = ng.exp(x) * 2
    program = [v + v[::-1], M / M.sum(axis=1, keepdims=True)]
    check(program, (), traits)
    monkeypatch.setattr(Arranger, "may_share", lambda self, task, other, level: True)
    with pytest.raises(ScheduleError, match=r"uses other elements|nothing has written"):
        check(program, (), traits)


@pytest.mark.parametrize("traits", [CPU, GRID], ids=["cpu", "grid"])
def test_temporaries_that_overlap(monkeypatch: pytest.MonkeyPatch, traits: Traits) -> None:
    def at_the_start(self: Any, stage: int, blocks: Any) -> Any:
        sizes = [self.buffers[v].size(self.graph) for v in self._lives(stage, blocks)[0]]
        return sum(sizes)

    def forgotten(self: Any, stage: int, blocks: Any) -> Any:
        first, _ = lives(self, stage, blocks)
        return first, dict(first)

    lives = buffers.Placer._lives
    program = ng.sort(ng.sort(ng.sort(x)[::-1]) + ng.sort(x * 2)[::-1])
    check([program], (), traits)
    with monkeypatch.context() as patch:
        patch.setattr(buffers.Placer, "lay_out", at_the_start)
        with pytest.raises(ScheduleError, match=r"has been written|which nothing has written"):
            check([program], (), traits)
    monkeypatch.setattr(buffers.Placer, "_lives", forgotten)
    with pytest.raises(ScheduleError, match=r"has been written|which nothing has written"):
        check([program], (), traits)


def test_an_arena_that_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out = buffers.Placer.lay_out
    monkeypatch.setattr(buffers.Placer, "lay_out", lambda *args: lay_out(*args) - 64)
    with pytest.raises(ScheduleError, match="behind the end of the arena"):
        check([ng.sort(ng.sort(x)[::-1] + 1)])


def test_shares_that_write_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    program = [ng.softmax(M, axis=1)]
    check(program)
    monkeypatch.setattr(chunks, "_own_memory", lambda graph, tasks, buffers, division, size: size)
    with pytest.raises(ScheduleError, match=r"chunks of the loop of .* write the same elements"):
        check(program)


def test_what_a_share_has_for_itself_overlaps(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_at_0(graph: Graph, tasks: Any, buffers: Any, division: Any, size: Any) -> Any:
        found = original(graph, tasks, buffers, division, size)
        for task in division.partial:
            division.partial[task] = 0
        return found

    original = chunks._own_memory
    program = [M.sum(axis=0), (M * M).sum(axis=0)]
    check(program)
    monkeypatch.setattr(chunks, "_own_memory", all_at_0)
    with pytest.raises(ScheduleError, match="has for itself overlaps"):
        check(program)


def test_a_block_that_moved_too_far(monkeypatch: pytest.MonkeyPatch) -> None:
    small = ng.shared(np.zeros(50), "small")
    program = [ng.exp(x * small.sum()).sum()]
    check(program, (), GRID)
    monkeypatch.setattr(grid, "must_follow", lambda block, other, buffers: False)
    with pytest.raises(ScheduleError, match="which nothing has written"):
        check(program, (), GRID)


def test_rows_of_another_block(monkeypatch: pytest.MonkeyPatch) -> None:
    X, W = ng.shared(np.zeros((4000, 64), "float32"), "X"), ng.shared(np.zeros((64, 8), "float32"), "W")
    i = ng.lscalar("i")
    rows = X[i * 512 : (i + 1) * 512]
    z = ng.tanh(ng.dot(rows, W))
    cost = (z[::-1] * z).sum() + ng.dot(z.T, z).sum()
    program = build_program([i], [cost], [])
    scheduled(program, frozenset())
    monkeypatch.setattr(Fuser, "_by_rows", lambda self, task, tiled: True)
    monkeypatch.setattr(Fuser, "_depends", lambda self, block, others: False)
    with pytest.raises(ScheduleError):
        scheduled(program, frozenset())


def test_pieces_of_unknown_lengths() -> None:
    graph = Graph()
    leaf = graph.make("input", None, (), (0,), "float64", (None,))
    n = graph.make("extent", None, (leaf,), (0,), "int64", ())
    assert apart((0, n * 8), (n * 8, 64))
    assert apart((n * 8 + 64, n * 8), (0, n * 8))
    assert not apart((0, n * 8), (n * 4, 64))
    assert not apart((n, 8), (0, 64))
    offsets = [n * 8 * k + 64 for k in range(9)]
    assert all_apart([(offset, n * 8) for offset in reversed(offsets)])
    assert not all_apart([(offset, n * 8 + 64) for offset in offsets])


def test_the_pattern_is_seen() -> None:
    assert np.isnan(pattern.empty((3, 5), "float64")).all() and np.isnan(pattern.empty(7, "float32")).all()
    assert (pattern.empty(4, "int32") == pattern.WORD).all()
    assert pattern.empty(3, "uint8").tolist() == [0xAD, 0xDE, 0xF7]
    assert pattern.empty((0, 2), "float64").shape == (0, 2)


def test_memory_is_filled_before_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporaries and results, in a call, one that goes the fast way, and a sweep; not where it is turned off."""
    f = ng.function([M], ng.sort(ng.exp(M), axis=1) + 1)
    f(np.ones((3, 40)))
    variant = f.executor.variant
    assert variant.patterned
    (memory,) = variant.arenas
    memory[:] = 0
    f(np.ones((3, 4)))
    # behind the bytes that this call has used
    assert (memory[-64:].view(np.uint32) == pattern.WORD).all()
    monkeypatch.setattr(config, "verify", False)
    assert not ng.function([x], x + 1).executor.variant.patterned


@pytest.mark.parametrize("traits", [CPU, GRID])
def test_an_axis_of_length_1_has_one_element(traits: Traits) -> None:
    """Whatever loop its index counts in, no element of it is dropped."""
    m = ng.shared(np.ones((1, 1)), "m")
    r = m.reshape((-1, 1))
    check(r, [(m, ng.inc_subtensor(r[:-2, 2:2], r[:-2, 2:2][::-1]).reshape(m.shape))], traits)


@pytest.mark.parametrize("traits", [CPU, GRID], ids=["cpu", "grid"])
def test_what_is_there_before_a_call_is_not_computed(monkeypatch: pytest.MonkeyPatch, traits: Traits) -> None:
    """An operand of a product whose rows have no elements lies where it is, and nothing is written there."""
    empty, stack = ng.shared(np.zeros((2, 0)), "empty"), ng.shared(np.zeros((2, 3, 0)), "stack")
    i = ng.scalar("i", dtype="int64")
    results = [ng.dot(empty, empty.T), ng.matmul(stack, stack.swapaxes(1, 2)), empty[:, :1] * 2, p[i]]
    program = build_program([i], results, [(q, q + 1)])
    found = scheduled(program, frozenset(), traits)
    assert not [task for task in found.schedule.tasks if task.node in found.schedule.shared]
    monkeypatch.setattr(stored, "_require_memory", lambda elements, node: elements.stored.update(node.inputs))
    with pytest.raises(ScheduleError, match=r"(empty|i) #.*, which is there before a call, is computed"):
        scheduled(program, frozenset(), traits)


def test_an_operand_of_a_kernel_that_is_read_across(monkeypatch: pytest.MonkeyPatch) -> None:
    """M.T.T lies in memory as M does, until M.T, which another kernel wants row by row, is stored: once it had been
    looked at before, the kernel computed with M.T instead, without an error."""

    def once(elements: Elements, node: Node) -> None:
        if node not in seen:
            seen.add(node)
            original(elements, node)

    seen: set[Node] = set()
    original = stored._require_memory
    b, c = ng.matrix("b"), ng.matrix("c")
    program = build_program([M, b, c], ng.solve_sylvester(M.T, b.T, ng.solve_sylvester(M, b, c)))
    scheduled(program, frozenset(), CPU)
    monkeypatch.setattr(stored, "_require_memory", once)
    with pytest.raises(ScheduleError, match=r"is given .* with strides"):
        scheduled(program, frozenset(), CPU)
