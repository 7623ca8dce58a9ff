"""A short chaos run: random faults lose no data. `make chaos` runs longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.databases import installed
from tests.chaos.driver import Chaos
from tests.chaos.model_server import counting_model
from tests.support.wall_clocks import Clocks

pytestmark = [pytest.mark.e2e, pytest.mark.torture]

SECONDS = 15.0
ON_INSTALLED = ["worker killed", "read-only", "silence", "failover", *(["clock"] if Clocks.can_be_set() else [])]


@pytest.mark.parametrize("workers_live", [False, True], ids=["everything is killed", "everything but the workers"])
def test_nothing_is_lost_and_nothing_is_bought_twice(tmp_path: Path, workers_live: bool) -> None:
    with counting_model(seed=1, seconds=(0.5, 2.0)) as model:
        chaos = Chaos(tmp_path, model, seed=1, at_once=12, workers_live=workers_live, is_short=True)
        chaos.run(SECONDS, kills=4, executions=12)
    assert chaos.kills.total() >= 4
    assert len(chaos.accepted) >= 12


@pytest.mark.postgresql
def test_nothing_is_lost_with_a_synchronous_replica_either(tmp_path: Path) -> None:
    with counting_model(seed=1, seconds=(0.5, 2.0)) as model, installed() as database:
        chaos = Chaos(tmp_path, model, seed=1, at_once=12, database=database, only=ON_INSTALLED)
        chaos.run(SECONDS, kills=len(ON_INSTALLED), executions=12)
    assert set(chaos.kills) == set(ON_INSTALLED)
