"""A process whose first model call loads the provider's library slowly.

It prints the outcome of the call, and the longest time (seconds) for which the event loop was blocked.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

import django

from executions.engine.domain.calls import ModelRequest
from tests.integration.llm.text_listeners import ignore

LOADING_SECONDS = 4.0


class SlowDisk(MetaPathFinder):
    """Finds nothing, and takes its time when one library is looked for."""

    def __init__(self, library: str) -> None:
        self._library = library

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Leave the search to others."""
        if name == self._library:
            time.sleep(LOADING_SECONDS)


class Pulse:
    """Measures for how long the event loop was blocked."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def beat(self) -> None:
        """Note the longest time between two beats."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now


async def main(model: str) -> None:
    """Ask it once, with less time than its library takes to load."""
    from executions.llm.client import model_client  # models can be imported after Django's setup

    request = ModelRequest(
        step_id="one",
        model=model,
        instructions="You write.",
        prompt="Write.",
        output_schema={"type": "object"},
        max_questions=0,
        max_output_tokens=500,
        timeout_seconds=3,
        document_type="report",
        role="Writer",
    )
    pulse = Pulse()
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(pulse.beat())
        reply = await model_client().complete(request, ignore)
        beating.cancel()
    told = {"written": [each.name for each in reply.tool_calls], "held_up_seconds": pulse.longest}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    _, asked, its_library = sys.argv
    django.setup()
    sys.meta_path.insert(0, SlowDisk(its_library))
    asyncio.run(main(asked))
