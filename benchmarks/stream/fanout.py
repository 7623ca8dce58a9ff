"""Cost of a delivery and of a client, with many clients of one channel."""

from __future__ import annotations

from typing import Any

from benchmarks import processes
from benchmarks.stream.servers import Server
from benchmarks.stream.setup import stream_setup

SETTLE_EVENTS = 5


def measure(server: Server, *, clients: int, events: int, per_second: float) -> dict[str, Any]:
    """Connect clients to one execution, and publish events."""
    clients = min(clients, server.max_clients)
    with stream_setup(server) as setup:
        setup.warm_up()
        before_kib = setup.memory_kib()
        open_seconds = setup.open(clients)
        setup.publish(SETTLE_EVENTS, per_second=per_second, readers=clients)
        cpu = processes.cpu_of(setup.process)
        committed = setup.publish(events, per_second=per_second, readers=clients)
        cpu = processes.cpu_of(setup.process) - cpu
        deliveries = setup.arrived(committed, each=events)
        return {
            "clients": clients,
            "events": events,
            "per_second": per_second,
            "opened_seconds": open_seconds,
            "cpu_us_per_delivery": cpu / max(1, deliveries["deliveries"]) * 1e6,
            "kib_per_client": (setup.memory_kib() - before_kib) / clients,
            "threads": processes.threads_of(setup.process),
            "connections": setup.connections(),
            **deliveries,
        }
