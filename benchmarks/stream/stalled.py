"""Memory growth of a server with one client that does not read, while much data is published."""

from __future__ import annotations

from typing import Any

from benchmarks.stream.servers import Server
from benchmarks.stream.setup import stream_setup

CHARACTERS = 7_000  # of an event; the limit of a notification is 8,000 bytes
PER_SECOND = 800
WARM_UP_FRACTION = 0.2  # of the events, published before the measurement


def measure(server: Server, *, megabytes: float) -> dict[str, Any]:
    """Publish data to one client that reads and one that does not; return the server's memory growth."""
    events = int(megabytes * 1_000_000 / CHARACTERS)
    with stream_setup(server) as setup:
        setup.warm_up()
        setup.open(1)
        setup.publish(int(events * WARM_UP_FRACTION), per_second=PER_SECOND, readers=1, characters=CHARACTERS)
        before = setup.memory_kib()
        setup.open(1, stalled=True)
        committed = setup.publish(events, per_second=PER_SECOND, readers=1, characters=CHARACTERS)
        growth = setup.memory_kib() - before
        return {"megabytes": megabytes, "grown_mib": growth / 1024, **setup.arrived(committed, each=events)}
