"""Progress arrives live, from the worker process through the web process."""

from __future__ import annotations

import time
from itertools import islice

import pytest

from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, stream

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("either", ["uvicorn", pytest.param("daphne", marks=pytest.mark.torture)], indirect=True)
def test_progress_in_a_worker_of_its_own_arrives_live_through_the_web_process(either: Machine) -> None:
    either.serve("--no-worker")
    with either.client() as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        events = stream(client, execution_id)
        assert [name for _, name, _ in islice(events, 1)] == ["execution_created"]
        either.start("worker", REHEARSAL_LATENCY_SECONDS="1")
        arrived = [(sequence, name, time.time()) for sequence, name, _ in events]
        assert [sequence for sequence, _, _ in arrived] == list(range(2, len(arrived) + 2))
        assert arrived[-1][1] == "complete"
        started = next(moment for _, name, moment in arrived if name == "step_started")
        # Each reply of the rehearsal takes a second: events that came in one go were not live.
        assert arrived[-1][2] - started > 0.9
        assert client.get(f"/executions/{execution_id}").json()["status"] == "completed"
