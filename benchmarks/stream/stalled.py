"""One client that does not read, while very much is published beside one that does: what the server keeps of it."""

from __future__ import annotations

from typing import Any

from benchmarks.stream.scene import scene
from benchmarks.stream.servers import Server

CHARACTERS = 7_000  # of an event; a notification holds less than 8,000
PER_SECOND = 800
BEFOREHAND = 0.2  # of the whole, so that what such events need is there before


def measure(server: Server, *, megabytes: float) -> dict[str, Any]:
    """Publish so much with one client that reads and one that does not; return by how much the server grew."""
    events = int(megabytes * 1_000_000 / CHARACTERS)
    with scene(server) as stage:
        stage.warm_up()
        stage.open(1)
        stage.publish(int(events * BEFOREHAND), per_second=PER_SECOND, readers=1, characters=CHARACTERS)
        before = stage.memory_kib()
        stage.open(1, stalled=True)
        committed = stage.publish(events, per_second=PER_SECOND, readers=1, characters=CHARACTERS)
        grown = stage.memory_kib() - before
        return {"megabytes": megabytes, "grown_mib": grown / 1024, **stage.arrived(committed, each=events)}
