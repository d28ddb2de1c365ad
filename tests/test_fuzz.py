"""Random programs: compiled code against the reference executor. See `fuzz` for longer runs."""

from __future__ import annotations

import fuzz
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

# Every example compiles for a second or more, so none is spent on making a failing one smaller: `fuzz.text` shows it,
# and `fuzz.reduced` leaves out what has no part in the failure.
QUICK = settings(max_examples=12, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))


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
