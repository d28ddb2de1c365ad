"""What a drawn program does with its function. Printed with a fault, so it needs only NumPy and numgraph."""

import copy
import pickle

import numpy as np


class Session:
    """A function and its shared variables; `outcomes`: per call the results or the error, and all shared values.

    most: how many calls are made; None stands for the others. block: where new values of shared variables lie that
    these are to keep.
    """

    most = 1_000

    def __init__(self, function, shared, block=None):
        self.function, self.shared, self.outcomes, self.block = function, list(shared), [], block

    def note(self, action):
        if len(self.outcomes) >= self.most:
            self.outcomes.append(None)
            return
        try:
            with np.errstate(all="ignore"):
                result = [np.asarray(r) for r in action()]
        except Exception as error:
            result = error
        self.outcomes.append((result, self.state()))

    def state(self):
        return [np.array(s.get_value()) for s in self.shared]

    def call(self, *arguments):
        self.note(lambda: self.function(*arguments))

    def set_value(self, number, array):
        lent = self.block is not None
        self.shared[number].set_value(self.block.holding(array) if lent else array, borrow=lent)

    def remake(self, how):
        pair = (self.function, self.shared)
        if how == "copy":
            self.function = self.function.copy()
        elif how == "deepcopy":
            self.function, self.shared = copy.deepcopy(pair)
        else:
            self.function, self.shared = pickle.loads(pickle.dumps(pair, protocol=int(how)))

    def sweep(self, *arguments):
        """Single calls, and the same as a sweep from the same state: the same bits."""
        before = self.state()
        self.note(lambda: self.single(arguments))
        if self.outcomes[-1] is None:
            return
        single, after = self.outcomes[-1]
        if isinstance(single, Exception) or before_differs(before, after):
            return
        for shared, array in zip(self.shared, before, strict=True):
            shared.set_value(array)
        with np.errstate(all="ignore"):
            swept = [np.asarray(r) for r in self.function.sweep(*arguments)]
        for k, (one, other) in enumerate(zip(single + after, swept + self.state(), strict=True)):
            assert one.tobytes() == other.tobytes(), f"sweep differs from single calls in {k}: {other} for {one}"

    def single(self, arguments):
        rows = [[np.array(r) for r in self.function(*(a[k] for a in arguments))] for k in range(len(arguments[0]))]
        return [np.stack(column) for column in zip(*rows, strict=True)]


class Block:
    """One piece of memory in which arrays lie one behind the other, with nothing in between that alignment allows."""

    def __init__(self):
        self.memory, self.used = np.zeros(1 << 20, np.uint8), 0

    def holding(self, array):
        """The values of an array at the next place; a copy of it where there is none left."""
        start = -(-self.used // array.itemsize) * array.itemsize
        if start + array.nbytes > len(self.memory):
            return array.copy()
        self.used = start + array.nbytes
        place = self.memory[start : self.used].view(array.dtype).reshape(array.shape)
        place[...] = array
        return place


def before_differs(before, after):
    """Whether a shared variable changed its length: a sweep may refuse that."""
    return any(a.shape != b.shape for a, b in zip(before, after, strict=True))


def arranged(array, how):
    """The same values in memory that is laid out otherwise."""
    if how == "fortran" and array.ndim:
        return np.asfortranarray(array)
    if how == "reversed" and array.ndim:
        return array[::-1].copy()[::-1]
    if how == "stepped" and array.ndim:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if how == "transposed":
        return array.T.copy().T
    if how == "unaligned":
        room = np.zeros(array.nbytes + 1, np.uint8)
        there = room[1:].view(array.dtype).reshape(array.shape)
        there[...] = array
        return there
    if how == "readonly":
        array = array.copy()
        array.flags.writeable = False
    return array
