"""Processes with a slow connection to their database, simulated by the tests' proxy."""

from __future__ import annotations

import pytest

from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status
from tests.support.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.e2e, pytest.mark.torture]


def test_an_execution_runs_over_a_slow_link_that_breaks(linked: Machine, link: TcpProxy) -> None:
    linked.serve("--no-worker")
    with linked.client() as client:
        link.latency = 0.005
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        linked.start("worker", REHEARSAL_LATENCY_SECONDS="0.2")
        wait_for_status(client, execution_id, "running")
        link.reset_all()
        wait_for_status(client, execution_id, "completed")
    assert link.open_now > 0
