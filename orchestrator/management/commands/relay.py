"""`manage.py relay`: publishes the events of scopes to Pushpin."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from executions.engine.runtime.cancellation import cancel_and_wait
from executions.progress.pushpin.relay import Relay
from orchestrator.web import lifecycle


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C."""

    help = "Publish the events of scopes to Pushpin (GRIP_URL); see docs/scale-out.md."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Relay until a shutdown signal.

        Raises:
            CommandError: GRIP_URL is not set.
        """
        if not settings.GRIP_URL:
            raise CommandError("Set GRIP_URL to Pushpin's control endpoint, http://127.0.0.1:5561?verify-key=….")
        lifecycle.end_on_signals()
        asyncio.run(lifecycle.wait_for_database())
        asyncio.run(self._relay())

    async def _relay(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        relaying = asyncio.create_task(Relay().run(), name="relay")
        stopping = asyncio.create_task(stop.wait())
        self.stdout.write("ready relay")
        self.stdout.flush()
        await asyncio.wait({relaying, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not relaying.done():
            await cancel_and_wait(relaying)
        else:
            relaying.result()
