"""Detection of event loop stalls: a thread pings the loop ten times a second, and expects a reply within a limit.

A loop that waits for events in its selector is idle, and is pinged once a second.

The log line distinguishes slow code from a busy machine by four times: the length of the stall, the CPU time of the
loop's thread and of the process, and the time in which the thread was runnable without a CPU. Linux counts the last one
in `/proc/<pid>/task/<tid>/schedstat`, field 2 (kernel documentation, scheduler/sched-stats); elsewhere it is 0.
"""

from __future__ import annotations

import asyncio
import logging
import os
import selectors
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PING_SECONDS = 0.1  # between pings
IDLE_PINGS = 10  # an idle loop gets one ping out of so many, because waking it is expensive
OWN_FAULT = "its own code ran or waited"
_FRAMES = 12  # innermost stack frames in a log line
_PRESSURE = "/proc/pressure/cpu"

logger = logging.getLogger(__name__)


def monitor_loop(loop: asyncio.AbstractEventLoop, *, limit_ms: int) -> Callable[[], None]:
    """Watch the event loop of this thread until the returned function is called, or the loop is closed.

    Args:
        loop: The loop, which this thread runs or is about to run.
        limit_ms: Longer stalls are logged as warnings; 0 disables the monitor.
    """
    if limit_ms == 0:
        return lambda: None
    monitor = _Monitor(loop, limit_ms / 1000)
    monitor.start()
    return monitor.stop


@dataclass(frozen=True, slots=True)
class Usage:
    """Counters in seconds; `thread` is the loop's thread, and `waited` means runnable without a CPU."""

    clock: float
    thread_cpu: float
    process_cpu: float
    thread_waited: float
    machine_waited: float

    def since(self, before: Usage) -> Usage:
        """Return the difference to earlier counters."""
        return Usage(
            self.clock - before.clock,
            self.thread_cpu - before.thread_cpu,
            self.process_cpu - before.process_cpu,
            self.thread_waited - before.thread_waited,
            self.machine_waited - before.machine_waited,
        )

    def is_own_fault(self, limit: float) -> bool:
        """Return whether this process caused the stall, and not a lack of CPU on the machine.

        True if the process computed for longer than the limit, or if its loop was blocked for longer while the machine
        had free CPU.
        """
        blocked = self.clock - self.thread_waited - self.thread_cpu
        if self.thread_cpu > limit:
            return True
        if blocked + self.thread_cpu <= limit:
            return False
        return self.process_cpu > limit or self.machine_waited < self.clock / 2


class _Monitor(threading.Thread):
    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        super().__init__(name="loop-monitor", daemon=True)
        self._loop = loop
        self._limit = limit
        self._thread = threading.current_thread()
        self._answered = threading.Event()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()

    def run(self) -> None:
        """Ping the loop until stopped."""
        idle = 0
        while not self._stopped.wait(PING_SECONDS):
            idle = idle + 1 if self._is_idle() else 0
            if idle % IDLE_PINGS:
                continue
            before = self._usage()
            self._answered.clear()
            try:
                self._loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:
                return  # the loop is closed
            if not self._answered.wait(self._limit):
                self._report(before)

    def _is_idle(self) -> bool:
        """Return whether the loop waits for events in its selector."""
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 - documented for debuggers
        return frame is not None and frame.f_code.co_filename == selectors.__file__

    def _report(self, before: Usage) -> None:
        """Record the stack, wait until the loop replies, and log a warning."""
        stack = self._running_code()
        while not self._answered.wait(PING_SECONDS):
            if self._stopped.is_set() or self._loop.is_closed():
                return
        used = self._usage().since(before)
        logger.warning(
            "The event loop stood still for %.0f ms: %s. "
            "CPU of its thread: %.0f ms, of the process: %.0f ms; waited for a CPU: %.0f ms. It ran %s.",
            used.clock * 1000,
            OWN_FAULT if used.is_own_fault(self._limit) else "the machine was busy",
            used.thread_cpu * 1000,
            used.process_cpu * 1000,
            used.thread_waited * 1000,
            stack,
        )

    def _running_code(self) -> str:
        """Return the loop's task and the frames of its thread, innermost first."""
        task = asyncio.current_task(self._loop)
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 - documented for debuggers
        stack = traceback.extract_stack(frame, limit=_FRAMES) if frame is not None else []
        places = [f"{each.name} ({'/'.join(Path(each.filename).parts[-2:])}:{each.lineno})" for each in reversed(stack)]
        return f"{' < '.join(places)}, in {f'task {task.get_name()}' if task else 'no task'}"

    def _usage(self) -> Usage:
        cpu = time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident or 0))
        return Usage(time.monotonic(), cpu, time.process_time(), self._waited(), machine_waited())

    def _waited(self) -> float:
        counters = _read(f"/proc/self/task/{self._thread.native_id}/schedstat").split()
        return int(counters[1]) / 1e9 if len(counters) > 1 else 0.0


def machine_waited() -> float:
    """Return the time in which any task of the machine waited for a CPU (Linux with pressure stall information)."""
    total = _read(_PRESSURE).partition(b"total=")[2].split()
    return int(total[0]) / 1e6 if total else 0.0


def _read(path: str) -> bytes:
    """Read a file of /proc; empty if it is missing. Unbuffered, because it is called ten times a second."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(file, 1_000)
    except OSError:
        return b""
    finally:
        os.close(file)
