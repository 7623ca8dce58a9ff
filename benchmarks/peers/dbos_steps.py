"""DBOS: a workflow of steps that return 1 kB, called from a pool of threads, as many as executions are in flight."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from dbos import DBOS, DBOSConfig, SetWorkflowID

from benchmarks.meter import Meter
from benchmarks.workload import TEXT, database_url, size_from_arguments

size = size_from_arguments()
config: DBOSConfig = {
    "name": "bench",
    "system_database_url": database_url(),
    "sys_db_pool_size": size.in_flight + 5,
    "log_level": "WARNING",
}
DBOS(config=config)
meter = Meter()


@DBOS.step()
def write(_number: int) -> dict[str, str]:
    """Make a document."""
    meter.step(DBOS.workflow_id)
    return {"title": "T", "text": TEXT}


@DBOS.workflow()
def line(steps: int) -> int:
    """Make one document after the other."""
    return sum(len(write(number)) for number in range(steps))


def one(_: int) -> None:
    """Run one workflow to its end."""
    with SetWorkflowID(str(uuid4())):
        line(size.steps)


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.WARNING)
    DBOS.launch()
    with ThreadPoolExecutor(size.in_flight) as pool:
        list(pool.map(one, range(size.in_flight)))  # every thread has its connection; these are not counted
        meter = Meter()
        with meter:
            list(pool.map(one, range(size.executions)))
    meter.report()
    DBOS.destroy()
