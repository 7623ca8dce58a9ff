"""Random orders of faults: no loss, no repeated payment, and final states stay final."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fuzzing import examples
from tests.unit.runtime.simulator import Simulation

SCENARIOS = examples(2000)
PARTS = 8  # that processes share among them
SEEDS = 2**37  # of each part


@pytest.mark.parametrize("part", range(PARTS))
@settings(max_examples=SCENARIOS // PARTS, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
@given(seed=st.integers(min_value=0, max_value=SEEDS - 1))
def test_what_must_hold_holds_in_every_scenario(part: int, seed: int) -> None:
    replay(part * SEEDS + seed)


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_replays_a_scenario_to_the_letter(seed: int) -> None:
    assert replay(seed) == replay(seed)


def replay(seed: int) -> list[str]:
    """Run one scenario, and return what happened in it."""
    simulation = Simulation(seed)
    try:
        asyncio.run(simulation.run())
    except BaseException as error:
        happened = "\n".join(simulation.told)
        raise AssertionError(f"seed {seed}: {error!r} after\n{happened}") from error
    return simulation.told
