"""One channel and very many clients: what a delivery costs, and what a client costs."""

from __future__ import annotations

from typing import Any

from benchmarks import processes
from benchmarks.stream.scene import scene
from benchmarks.stream.servers import Server

SETTLE_EVENTS = 5


def measure(server: Server, *, clients: int, events: int, per_second: float) -> dict[str, Any]:
    """Have so many clients follow one execution, and publish events."""
    clients = min(clients, server.most_clients)
    with scene(server) as stage:
        stage.warm_up()
        before_kib = stage.memory_kib()
        opened = stage.open(clients)
        stage.publish(SETTLE_EVENTS, per_second=per_second, readers=clients)
        cpu = processes.cpu_of(stage.process)
        committed = stage.publish(events, per_second=per_second, readers=clients)
        cpu = processes.cpu_of(stage.process) - cpu
        found = stage.arrived(committed, each=events)
        return {
            "clients": clients,
            "events": events,
            "per_second": per_second,
            "opened_seconds": opened,
            "cpu_us_per_delivery": cpu / max(1, found["deliveries"]) * 1e6,
            "kib_per_client": (stage.memory_kib() - before_kib) / clients,
            "threads": processes.threads_of(stage.process),
            "connections": stage.connections(),
            **found,
        }
