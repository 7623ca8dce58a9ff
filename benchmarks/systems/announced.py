"""The journal alone, in turns without its announcements and with them: python -m … EXECUTIONS STEPS IN_FLIGHT.

The turns are short and follow each other at once, so that whatever else the machine does meets both alike.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from uuid import UUID

from django.db import connection

from benchmarks.meter import Meter
from benchmarks.systems import line, ours, transitions
from benchmarks.workload import Size, size_from_arguments
from executions.engine.ports import Ports
from executions.persistence.journal import journal, locked_batch
from executions.persistence.notifier import announce

TURN = 40  # executions
HEARD_SECONDS = 0.05  # until what a turn announced has been heard

Moves = list[transitions.Transition]


async def turn(ports: Ports, prepared: Iterable[Moves], size: Size) -> None:
    """Commit the transitions of some executions, so many at once."""

    async def commit(moves: Moves) -> None:
        for move in moves:
            await ports.journal.commit(move)

    await ours.in_flight(prepared, size, commit)


def _say_nothing(*_execution_ids: UUID) -> None:
    """Tell nobody."""


async def compare(ports: Ports, prepared: list[Moves], size: Size) -> dict[str, list[Meter]]:
    """Take the turns: one to warm up, then without, with, with, without, and so on."""
    meters: dict[str, list[Meter]] = {"quiet": [], "announced": []}
    for number, start in enumerate(range(0, len(prepared), TURN)):
        announced = number % 4 in {0, 3}
        for writer in (locked_batch, journal):
            writer.announce = announce if announced else _say_nothing  # type: ignore[attr-defined]
        with Meter() as meter:
            await turn(ports, prepared[start : start + TURN], size)
        await asyncio.sleep(HEARD_SECONDS)
        if number:
            meters["announced" if announced else "quiet"].append(meter)
    return meters


if __name__ == "__main__":
    chosen = size_from_arguments()
    started = line.start_all(chosen)
    connection.close()
    ports = line.use(line.QuietModel())
    found = asyncio.run(compare(ports, [transitions.of(each, chosen.steps) for each in started], chosen))
    result = {
        name: {
            "transitions": len(meters) * TURN * (chosen.steps + 1),
            "seconds": sum(meter.seconds for meter in meters),
            "cpu_seconds": sum(meter._own for meter in meters),
            "database_cpu_seconds": sum(meter._database for meter in meters),
        }
        for name, meters in found.items()
    }
    sys.stdout.write(json.dumps(result) + "\n")
