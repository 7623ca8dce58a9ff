"""LangGraph: a chain of nodes that return 1 kB, with a checkpoint in PostgreSQL at every step.

With the argument `rows`, each node also writes the rows that LangGraph does not store.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, TypedDict

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.metrics import Meter
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
                for statement, values in rows.statements_of(state["name"], number):
                    await connection.execute(statement, values)
        return {f"d{number}": rows.CONTENT}

    return write


def graph(pool: AsyncConnectionPool) -> StateGraph:
    """Return the chain of nodes."""
    state = TypedDict("State", {"name": str, **{f"d{number}": dict for number in range(size.steps)}}, total=False)
    chain = StateGraph(state)
    for number in range(size.steps):
        chain.add_node(f"s{number}", node(number, pool))
        chain.add_edge(f"s{number - 1}" if number else START, f"s{number}")
    chain.add_edge(f"s{size.steps - 1}", END)
    return chain


async def main() -> None:
    """Run the executions concurrently. Each lane has a saver of its own, because a saver serializes its calls."""
    settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(database_url(), min_size=2 * size.in_flight, kwargs=settings, open=False) as pool:
        await pool.wait()
        await AsyncPostgresSaver(pool).setup()
        async with pool.connection() as connection:
            for table in rows.TABLES:
                await connection.execute(table)
        names = iter(range(size.executions))
        chain = graph(pool)

        async def lane() -> None:
            compiled = chain.compile(checkpointer=AsyncPostgresSaver(pool))
            for name in names:
                config = {"configurable": {"thread_id": str(name)}, "recursion_limit": size.steps + 5}
                await compiled.ainvoke({"name": str(name)}, config, durability="sync")

        with meter:
            await asyncio.gather(*(lane() for _ in range(size.in_flight)))
    meter.report()


if __name__ == "__main__":
    asyncio.run(main())
