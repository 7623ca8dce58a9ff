"""Time limits of waits in tests. A wait ends with its condition; the limit only ends a test that hangs."""

from __future__ import annotations

import time

from orchestrator.web.loop_monitor import machine_waited

HANG_SECONDS = 180.0  # no condition takes so long, on a busy machine either


class Stopwatch:
    """Counts the time that passes, without the time for which this machine had less CPU than was wanted."""

    def __init__(self) -> None:
        self._began, self._waited = time.monotonic(), machine_waited()

    def seconds(self) -> float:
        """Return the seconds since it was made that a busy machine does not explain."""
        return time.monotonic() - self._began - (machine_waited() - self._waited)
