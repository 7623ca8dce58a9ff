"""LangGraph: a graph that is a line of nodes, each of which returns 1 kB, checkpointed in PostgreSQL at every step.

With `rows`, each node also writes what LangGraph does not keep.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, TypedDict

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.meter import Meter
from benchmarks.peers import rows
from benchmarks.workload import database_url, size_from_arguments

size = size_from_arguments()
meter = Meter()


def node(number: int, pool: AsyncConnectionPool) -> Any:
    """Return the node of one step."""

    async def write(state: dict[str, Any]) -> dict[str, Any]:
        meter.step(state["name"])
        if "rows" in sys.argv:
            async with pool.connection() as connection, connection.pipeline(), connection.transaction():
                for statement, values in rows.of(state["name"], number):
                    await connection.execute(statement, values)
        return {f"d{number}": rows.CONTENT}

    return write


def graph(pool: AsyncConnectionPool) -> StateGraph:
    """Return the line."""
    state = TypedDict("State", {"name": str, **{f"d{number}": dict for number in range(size.steps)}}, total=False)
    line = StateGraph(state)
    for number in range(size.steps):
        line.add_node(f"s{number}", node(number, pool))
        line.add_edge(f"s{number - 1}" if number else START, f"s{number}")
    line.add_edge(f"s{size.steps - 1}", END)
    return line


async def main() -> None:
    """Run the executions, so many at once: each place has a saver of its own, as one saver does one thing at a time."""
    settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(database_url(), min_size=2 * size.in_flight, kwargs=settings, open=False) as pool:
        await pool.wait()
        await AsyncPostgresSaver(pool).setup()
        async with pool.connection() as connection:
            for table in rows.TABLES:
                await connection.execute(table)
        names = iter(range(size.executions))
        line = graph(pool)

        async def place() -> None:
            compiled = line.compile(checkpointer=AsyncPostgresSaver(pool))
            for name in names:
                config = {"configurable": {"thread_id": str(name)}, "recursion_limit": size.steps + 5}
                await compiled.ainvoke({"name": str(name)}, config, durability="sync")

        with meter:
            await asyncio.gather(*(place() for _ in range(size.in_flight)))
    meter.report()


if __name__ == "__main__":
    asyncio.run(main())
