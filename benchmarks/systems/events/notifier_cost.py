"""The journal in alternating batches with and without notifications: python -m … EXECUTIONS STEPS IN_FLIGHT.

The batches are short and consecutive, so that other load on the machine affects both variants equally.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from uuid import UUID

from django.db import connection

from benchmarks.metrics import Meter
from benchmarks.systems import scriptorium, transitions, workload
from benchmarks.workload import Size, size_from_arguments
from executions.engine.ports import Ports
from executions.persistence.journal import journal, locked_batch
from executions.persistence.notifier import announce

BATCH = 40  # executions
DELIVERY_SECONDS = 0.05  # for the notifications of a batch to be processed

Transitions = list[transitions.Transition]


async def commit_batch(ports: Ports, prepared: Iterable[Transitions], size: Size) -> None:
    """Commit the transitions of some executions concurrently."""

    async def commit(execution_transitions: Transitions) -> None:
        for transition in execution_transitions:
            await ports.journal.commit(transition)

    await scriptorium.in_flight(prepared, size, commit)


def _announce_nothing(*_execution_ids: UUID) -> None:
    """Send no notification."""


async def compare(ports: Ports, prepared: list[Transitions], size: Size) -> dict[str, list[Meter]]:
    """Run the batches: a warm-up, then without, with, with, without, and so on."""
    meters: dict[str, list[Meter]] = {"quiet": [], "announced": []}
    for number, start in enumerate(range(0, len(prepared), BATCH)):
        announced = number % 4 in {0, 3}
        for writer in (locked_batch, journal):
            writer.announce = announce if announced else _announce_nothing  # type: ignore[attr-defined]
        with Meter() as meter:
            await commit_batch(ports, prepared[start : start + BATCH], size)
        await asyncio.sleep(DELIVERY_SECONDS)
        if number:
            meters["announced" if announced else "quiet"].append(meter)
    return meters


if __name__ == "__main__":
    chosen = size_from_arguments()
    started = workload.start_all(chosen)
    connection.close()
    ports = workload.use_model(workload.InstantModel())
    found = asyncio.run(compare(ports, [transitions.transitions_of(each, chosen.steps) for each in started], chosen))
    result = {
        name: {
            "transitions": len(meters) * BATCH * (chosen.steps + 1),
            "seconds": sum(meter.seconds for meter in meters),
            "cpu_seconds": sum(meter._own for meter in meters),
            "database_cpu_seconds": sum(meter._database for meter in meters),
        }
        for name, meters in found.items()
    }
    sys.stdout.write(json.dumps(result) + "\n")
