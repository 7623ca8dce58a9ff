"""One worker of the product, whose model is in its own process and takes so many seconds: python -m … SECONDS.

It says that it is ready, and begins once it is told to, so that several begin together.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from django.conf import settings

from benchmarks.systems import line
from executions.worker.worker import Worker
from orchestrator.web import lifecycle


async def work() -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Worker(lifecycle.worker_name()).run(stop)


if __name__ == "__main__":
    line.use(line.QuietModel(seconds=float(sys.argv[1]), calls_at_once=settings.MODEL_CALLS))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    asyncio.run(work())
