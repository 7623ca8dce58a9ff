"""From the commit to the client, at many events a second over many executions, each with a client of its own."""

from __future__ import annotations

from typing import Any

from benchmarks.stream.scene import scene
from benchmarks.stream.servers import Server

EXECUTIONS = 20


def measure(server: Server, *, per_second: float, seconds: float) -> dict[str, Any]:
    """Publish at this rate for so long."""
    each = int(per_second * seconds / EXECUTIONS)
    with scene(server, executions=EXECUTIONS) as stage:
        stage.warm_up()
        stage.open(EXECUTIONS)
        stage.publish(EXECUTIONS * 10, per_second=per_second, readers=EXECUTIONS)
        committed = stage.publish(each * EXECUTIONS, per_second=per_second, readers=EXECUTIONS)
        took = committed["committed"][-1] - committed["committed"][0]
        return {"per_second": each * EXECUTIONS / took, **stage.arrived(committed, each=each)}
