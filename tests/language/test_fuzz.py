"""Random programs: compiled code against the reference executor. See `fuzz` for longer runs."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from numgraph.errors import IndexOutOfRange, KernelError
from tests import fuzz

# Every example compiles for a second or more, so none is spent on making a failing one smaller: `fuzz.text` shows it,
# and `fuzz.reduced` leaves out what has no part in the failure.
QUICK = settings(max_examples=6, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))


@QUICK
@given(st.data())
def test_random_programs(data: st.DataObject) -> None:
    def choose(n: int) -> int:
        return data.draw(st.integers(0, n - 1))

    program = fuzz.draw(choose, size=10)
    problem = fuzz.failure(program)
    if problem is not None:
        small = fuzz.reduced(program)
        pytest.fail(f"{fuzz.failure(small)}\n{fuzz.text(small)}")


@pytest.mark.parametrize("seed", (0, 1, 3, 4, 5))
def test_seeded_programs(seed: int) -> None:
    """Hypothesis likes small numbers; these programs are chosen evenly."""
    program = fuzz.draw(fuzz.seeded(seed), size=10)
    assert fuzz.failure(program) is None, fuzz.text(program)


def test_programs_on_the_simulated_device() -> None:
    """`make fuzz-device` runs hundreds of them; so does continuous integration."""
    failed = [told for told in (fuzz.tried(seed, "cuda-sim") for seed in range(8)) if told]
    assert not failed, "\n".join(failed)


def test_what_the_simulator_finds_undefined_is_a_failure() -> None:
    """Also where the reference refuses the call, for another reason."""
    program = fuzz.draw(fuzz.seeded(0), size=2)
    for found in (KernelError("a race"), IndexOutOfRange("x[7] is outside of its elements 0..6")):
        with pytest.raises(AssertionError, match="reference gives IndexOutOfRange"):
            fuzz.compare(program, (IndexOutOfRange("index 9"), []), (found, []), "here")
    fuzz.compare(program, (IndexOutOfRange("index 9"), []), (IndexOutOfRange("index 9 is out of range"), []), "here")


def test_several_processes_try_the_same_programs() -> None:
    assert list(fuzz.answers(iter(range(3)), "reference", 2)) == [None] * 3
