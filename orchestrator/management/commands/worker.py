"""`manage.py worker`: runs executions in a process of its own."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from executions.worker.worker import Worker
from orchestrator.embedded_postgres import instance
from orchestrator.web import lifecycle
from orchestrator.web.loop_monitor import monitor_loop


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C, then lets its jobs finish."""

    help = "Run executions; start as many workers as needed."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Work until a shutdown signal."""
        lifecycle.end_on_signals()
        lifecycle.prepare_embedded_database()
        asyncio.run(lifecycle.wait_for_database())
        stop_keeping = None if settings.DATABASE_URL else instance.keep_running(settings.DATA_DIR)
        try:
            asyncio.run(self._work(lifecycle.worker_name()))
        finally:
            if stop_keeping is not None:
                stop_keeping()

    async def _work(self, name: str) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        self.stdout.write(f"ready {name}")
        self.stdout.flush()
        stop_monitor = monitor_loop(loop, limit_ms=settings.LOOP_STALL_MS)
        await Worker(name).run(stop)
        stop_monitor()
