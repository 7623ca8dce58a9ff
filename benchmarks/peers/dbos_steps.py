"""DBOS: a workflow of steps that return 1 kB, called from a pool of threads, as many as executions are in flight.

With `rows`, each step also writes what DBOS does not keep.
"""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
from dbos import DBOS, DBOSConfig, SetWorkflowID
from psycopg_pool import ConnectionPool

from benchmarks.meter import Meter
from benchmarks.peers import rows
from benchmarks.workload import database_url, size_from_arguments

size = size_from_arguments()
config: DBOSConfig = {
    "name": "bench",
    "system_database_url": database_url(),
    "sys_db_pool_size": size.in_flight + 5,
    "log_level": "WARNING",
}
DBOS(config=config)
meter = Meter()
more = None
if "rows" in sys.argv:
    more = ConnectionPool(database_url(), min_size=size.in_flight, kwargs={"prepare_threshold": 0}, open=False)


@DBOS.step()
def write(number: int) -> dict[str, str]:
    """Make a document."""
    meter.step(DBOS.workflow_id)
    if more is not None:
        with more.connection() as connection, connection.pipeline():
            for statement, values in rows.of(DBOS.workflow_id, number):
                connection.execute(statement, values)
    return rows.CONTENT


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
    if more is not None:
        with psycopg.connect(database_url()) as setting_up:
            for table in rows.TABLES:
                setting_up.execute(table)
        more.open(wait=True)
    with ThreadPoolExecutor(size.in_flight) as pool:
        list(pool.map(one, range(size.in_flight)))  # every thread has its connection; these are not counted
        meter = Meter()
        with meter:
            list(pool.map(one, range(size.executions)))
    meter.report()
    if more is not None:
        more.close()
    DBOS.destroy()
