"""Processes on machines whose wall clocks are wrong: they go by the database's clock from their first moment on."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from orchestrator import postgres
from tests.chaos.clocks import Clocks
from tests.journeys.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status, wait_until

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(not Clocks.can_be_set(), reason="a wall clock of one process needs Linux and a C compiler"),
]

AHEAD_AND_BEHIND = [3600, -3600]
_OFF_BY = "SELECT extract(epoch FROM started_at - clock_timestamp())::float8 FROM executions_runner"


@pytest.mark.parametrize("seconds", AHEAD_AND_BEHIND)
def test_a_worker_announces_itself_by_the_databases_clock(linked: Machine, tmp_path: Path, seconds: int) -> None:
    clock = Clocks(tmp_path).make()
    clock.set(seconds)
    with psycopg.connect(postgres.url(linked.data_dir), autocommit=True) as connection:
        linked.start("worker", **clock.environment)
        off_by = wait_until(lambda: connection.execute(_OFF_BY).fetchone(), what="that the worker announces itself")
    assert abs(off_by[0]) < abs(seconds) / 2


def test_a_clock_that_jumps_changes_nothing(linked: Machine, tmp_path: Path) -> None:
    clocks = Clocks(tmp_path)
    web, worker = clocks.make(), clocks.make()
    processes = [linked.serve("--no-worker", **web.environment), linked.start("worker", **worker.environment)]
    with linked.client() as client:
        for number, seconds in enumerate(AHEAD_AND_BEHIND):
            web.set(-seconds)
            worker.set(seconds)
            execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes", key=f"p{number}")
            wait_for_status(client, execution_id, "completed")
            wait_until(lambda: linked.logs().count("this machine's clock is") >= 2, what="that both have said so")
    assert [process.poll() for process in processes] == [None, None]
