"""Restate: a handler of steps that return 1 kB, one Hypercorn worker, called through the ingress.

The server is the binary of the npm package; the Python handler is called over HTTP/2. Its CPU stands in the column of
the database, because Restate stores the steps itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

from benchmarks.metrics import Meter
from benchmarks.peers import rows
from benchmarks.workload import size_from_arguments

START_SECONDS = 60.0
POLL_SECONDS = 0.1

size = size_from_arguments()
service = restate.Service("bench")
meters: list[Meter] = []


def free_port() -> int:
    """Return a TCP port on which no process listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write(execution: bytes) -> dict[str, Any]:
    """Produce a document."""
    meters[-1].step(execution)
    return rows.CONTENT


@service.handler()
async def run_steps(context: restate.Context, steps: int) -> int:
    """Produce the documents one after the other."""
    total = 0
    for number in range(steps):
        total += len(await context.run_typed(f"s{number}", write, restate.RunOptions(), context.request().id))
    return total


@asynccontextmanager
async def restate_server(ingress: int, admin: int) -> AsyncIterator[int]:
    """Run a Restate server with an empty data directory; provide its process id."""
    names = {"INGRESS": ingress, "ADMIN": admin}
    settings = {f"RESTATE_{name}__BIND_ADDRESS": f"127.0.0.1:{port}" for name, port in names.items()}
    node = f"127.0.0.1:{free_port()}"
    settings |= {"RESTATE_BIND_ADDRESS": node, "RESTATE_ADVERTISED_ADDRESS": f"http://{node}"}
    with tempfile.TemporaryDirectory() as folder:
        command = [os.environ["RESTATE_SERVER"], "--no-logo", "--listen-mode", "tcp", "--base-dir", folder]
        with Path(folder, "log").open("w") as log:
            server = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log)
        try:
            yield server.pid
        finally:
            server.terminate()
            server.wait()


async def register(client: httpx.AsyncClient, admin: str, handler: str) -> None:
    """Tell the server where the handler listens, as soon as it answers.

    Raises:
        TimeoutError: the server did not take it in time.
    """
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                answer = await client.post(f"{admin}/deployments", json={"uri": handler})
                if answer.is_success:
                    return
            except httpx.TransportError:
                logging.info("Restate's server does not listen yet.")
            await asyncio.sleep(POLL_SECONDS)


async def main() -> None:
    """Run the executions, a fixed number in flight."""
    ingress, admin, own = free_port(), free_port(), free_port()
    stop = asyncio.Event()
    config = Config.from_mapping(bind=f"127.0.0.1:{own}", loglevel="WARNING")
    async with restate_server(ingress, admin) as pid, httpx.AsyncClient(timeout=START_SECONDS) as client:
        os.environ["POSTMASTER_PID"] = str(pid)  # the meter adds up the CPU of this process
        handling = asyncio.create_task(serve(restate.app([service]), config, shutdown_trigger=stop.wait))
        await register(client, f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{own}")

        async def run(executions: int) -> None:
            names = iter(range(executions))

            async def lane() -> None:
                for _ in names:
                    answer = await client.post(f"http://127.0.0.1:{ingress}/bench/run_steps", json=size.steps)
                    answer.raise_for_status()

            await asyncio.gather(*(lane() for _ in range(size.in_flight)))

        meters.append(Meter())
        await run(size.in_flight)  # warm-up
        meters.append(Meter())
        with meters[-1]:
            await run(size.executions)
        stop.set()
        await handling
    meters[-1].report()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
