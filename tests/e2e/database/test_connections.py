"""Number of database connections that the product needs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, stream
from tests.support.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.e2e, pytest.mark.torture]

MOST = 24  # of two workers and a web process
EXECUTIONS, STREAMS = 12, 6


def test_two_workers_and_a_web_process_need_few_connections(linked: Machine, link: TcpProxy) -> None:
    linked.serve("--no-worker")
    link.reset_counts()
    for _ in range(2):
        linked.start("worker", REHEARSAL_LATENCY_SECONDS="0.2")
    with linked.client() as client, ThreadPoolExecutor(STREAMS) as pool:
        started = [
            start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment", key=f"p{number % 3}")
            for number in range(EXECUTIONS)
        ]
        followed = pool.map(lambda execution_id: [name for _, name, _ in stream(client, execution_id)], started)
        assert all(names[-1] == "complete" for names in followed)
    assert 2 < link.max_count <= MOST
