"""A worker with a model in its process whose calls take a fixed time: python -m … SECONDS.

It prints "ready", and starts after a line on standard input, so that several workers start together.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from django.conf import settings

from benchmarks.systems import workload
from executions.worker.worker import Worker
from orchestrator.web import lifecycle


async def work() -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Worker(lifecycle.worker_name()).run(stop)


if __name__ == "__main__":
    workload.use_model(workload.InstantModel(seconds=float(sys.argv[1]), calls_at_once=settings.MODEL_CALLS))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    asyncio.run(work())
