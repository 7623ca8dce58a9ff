"""Latency from the commit to the client, with many events per second over many executions, one client each."""

from __future__ import annotations

from typing import Any

from benchmarks.stream.servers import Server
from benchmarks.stream.setup import stream_setup

EXECUTIONS = 20


def measure(server: Server, *, per_second: float, seconds: float) -> dict[str, Any]:
    """Publish at a rate for some seconds."""
    each = int(per_second * seconds / EXECUTIONS)
    with stream_setup(server, executions=EXECUTIONS) as setup:
        setup.warm_up()
        setup.open(EXECUTIONS)
        setup.publish(EXECUTIONS * 10, per_second=per_second, readers=EXECUTIONS)
        committed = setup.publish(each * EXECUTIONS, per_second=per_second, readers=EXECUTIONS)
        elapsed = committed["committed"][-1] - committed["committed"][0]
        return {"per_second": each * EXECUTIONS / elapsed, **setup.arrived(committed, each=each)}
