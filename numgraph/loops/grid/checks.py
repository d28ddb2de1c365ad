"""Index checks in kernels: a thread cannot end a call, so it says what it found, and leaves out what would follow."""

from __future__ import annotations

from numgraph.loops.build import outside
from numgraph.loops.grid.kernel import FLAGS, STEPS
from numgraph.loops.grid.memory import GridMemory
from numgraph.loops.program import Barrier, Continue, Expression, If, Logic, Name, Number, Statement, Store
from numgraph.loops.values import Values
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.tasks import IndexCheck, Task


class GuardingChecks:
    """An index that is out of range is reported, and what would use it left out; later kernels do nothing then.

    words: for each word of the status, which failure it stands for.
    """

    def __init__(self, values: Values, nest: LoopNest, words: list[int]) -> None:
        self.values = values
        assert isinstance(values.memory, GridMemory)
        self.memory = values.memory
        self.nest = nest
        self.words = words
        # in statements of one thread: before which of them something is left out when an index was refused
        self.left_out: list[int] = []

    def before(self, task: Task) -> None:
        """The checks of the task's indices: those of other nests came first, and where one has failed nothing came
        after them."""
        for check in task.checks:
            if check in self.nest.tasks and check.value in task.scalars:
                self.check(check)

    def check(self, task: IndexCheck) -> None:
        """A check, where there is none yet."""
        values, shape = self.values, self.memory.mapping.shape
        if any(task in body.guarded for body in values.bodies):
            return
        value, limit = operands(values, task)
        once = shape == "once"
        level = 0 if once else min(max(1, task.value.depth if task.value else 0), len(values.bodies) - 1)
        body = values.bodies[level]
        body.guarded.add(task)
        refused = self._reported(task)
        if not once and level == 1 and shape == "lanes":
            refused.append(Barrier(note="all lanes have found it"))
        if not once:
            refused.append(Continue())
        note = f"index in range of {task.node.name}"
        values.add(If(outside(value, limit), tuple(refused), **values.origin(task.node, note)), level)
        if once:
            self.left_out.append(len(body.statements))

    def _reported(self, task: IndexCheck) -> list[Statement]:
        """What says so in the status."""
        word = len(self.words)
        assert word < FLAGS, f"more than {FLAGS} index checks in one function"
        status = self.memory.kernel.parameter("status", "status", "p", "int64*", ("status",))
        self.words.append(self.values.layout.fail_code(task))
        step = self.memory.arguments()[len(self.values.schedule.arguments)]
        return [
            Store(status, Number(word), Number(1), note="later kernels do nothing"),
            Store(status, Number(FLAGS + word * STEPS) + step, Number(1), note="in this step of a sweep"),
        ]


class SearchingChecks:
    """The search for the first index that a check refuses, by one thread: for the message."""

    def __init__(self, values: Values) -> None:
        self.values = values
        assert isinstance(values.memory, GridMemory)
        self.found: Name = values.memory.kernel.parameter(("found",), "found", "p", "int64*", ("found",))

    def before(self, task: Task) -> None:
        """Nothing."""

    def check(self, task: IndexCheck) -> None:
        """Note the first."""
        value, limit = operands(self.values, task)
        first = Logic("and", (self.found[0].compared("==", 0), outside(value, limit)))
        noted = tuple(Store(self.found, Number(k), v) for k, v in enumerate((Number(1), value, limit)))
        self.values.add(If(first, noted, **self.values.origin(task.node, "the first")))


def operands(values: Values, check: IndexCheck) -> tuple[Expression, Expression]:
    """The index of a check, and its limit."""
    assert check.value is not None
    return values.value(check.value), values.whole(check.bound)
