"""DBOS: a workflow of steps that return 1 kB, called from a pool with one thread per concurrent execution.

With the argument `rows`, each step also writes the rows that DBOS does not store.
"""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
from dbos import DBOS, DBOSConfig, SetWorkflowID
from psycopg_pool import ConnectionPool

from benchmarks.metrics import Meter
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
rows_pool = None
if "rows" in sys.argv:
    rows_pool = ConnectionPool(database_url(), min_size=size.in_flight, kwargs={"prepare_threshold": 0}, open=False)


@DBOS.step()
def write(number: int) -> dict[str, str]:
    """Produce a document."""
    meter.step(DBOS.workflow_id)
    if rows_pool is not None:
        with rows_pool.connection() as connection, connection.pipeline():
            for statement, values in rows.statements_of(DBOS.workflow_id, number):
                connection.execute(statement, values)
    return rows.CONTENT


@DBOS.workflow()
def run_steps(steps: int) -> int:
    """Produce the documents one after the other."""
    return sum(len(write(number)) for number in range(steps))


def run_workflow(_: int) -> None:
    """Run one workflow."""
    with SetWorkflowID(str(uuid4())):
        run_steps(size.steps)


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.WARNING)
    DBOS.launch()
    if rows_pool is not None:
        with psycopg.connect(database_url()) as setting_up:
            for table in rows.TABLES:
                setting_up.execute(table)
        rows_pool.open(wait=True)
    with ThreadPoolExecutor(size.in_flight) as pool:
        list(pool.map(run_workflow, range(size.in_flight)))  # warm-up: every thread connects
        meter = Meter()
        with meter:
            list(pool.map(run_workflow, range(size.executions)))
    meter.report()
    if rows_pool is not None:
        rows_pool.close()
    DBOS.destroy()
