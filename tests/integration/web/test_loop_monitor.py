"""The event loop monitor reports blocking, the running code, and whether process or machine was slow."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable

import pytest

from orchestrator.web.loop_monitor import OWN_FAULT, Usage, monitor_loop

LIMIT_MS = 250


def sleeps() -> None:
    """Block in the kernel, without CPU."""
    time.sleep(0.6)


def computes() -> None:
    """Use CPU of the loop's own thread."""
    began = time.thread_time()
    while time.thread_time() - began < 0.6:
        sum(range(1000))


def backtracks() -> None:
    """Keep the interpreter's lock within one call of a C function."""
    began = time.thread_time()
    letters = 20
    while time.thread_time() - began < 0.6:
        re.match(r"^(a+)+$", "a" * letters + "b")
        letters += 1


async def told(blocks: Callable[[], None], caplog: pytest.LogCaptureFixture) -> list[str]:
    """Block the loop once under the monitor, and return what it logged."""
    stop = monitor_loop(asyncio.get_running_loop(), limit_ms=LIMIT_MS)
    try:
        await asyncio.sleep(0.15)  # it has asked once
        blocks()
        async with asyncio.timeout(30):
            while not caplog.messages:
                await asyncio.sleep(0.01)
    finally:
        stop()
    return caplog.messages


@pytest.mark.parametrize("blocks", [computes, backtracks])
async def test_a_loop_that_computes_is_told_of_with_what_ran(
    blocks: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="orchestrator.web.loop_monitor"):
        line = (await told(blocks, caplog))[0]
    assert OWN_FAULT in line
    assert f"{blocks.__name__} (" in line
    assert "\n" not in line


async def test_a_loop_that_waits_in_the_kernel_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="orchestrator.web.loop_monitor"):
        assert "sleeps (" in (await told(sleeps, caplog))[0]


async def test_a_loop_that_works_in_turns_is_not_told_of(caplog: pytest.LogCaptureFixture) -> None:
    stop = monitor_loop(asyncio.get_running_loop(), limit_ms=10_000)
    for _ in range(30):
        time.sleep(0.01)
        await asyncio.sleep(0)
    stop()
    assert not caplog.messages


@pytest.mark.parametrize(
    ("clock", "thread_cpu", "process_cpu", "thread_waited", "machine_waited", "own"),
    [
        (0.5, 0.4, 0.4, 0.0, 0.0, True),  # it computed
        (9.0, 0.4, 0.4, 8.6, 9.0, True),  # slowly, for others computed too
        (0.5, 0.0, 0.0, 0.0, 0.0, True),  # it waited for something
        (0.5, 0.0, 0.4, 0.0, 0.5, True),  # for another thread of its own that computed
        (0.5, 0.1, 0.1, 0.4, 0.5, False),  # it had no CPU
        (0.5, 0.0, 0.1, 0.0, 0.5, False),  # nor had the thread that it waited for
    ],
)
def test_a_machine_without_cpu_explains_a_standstill(
    clock: float, thread_cpu: float, process_cpu: float, thread_waited: float, machine_waited: float, own: bool
) -> None:
    used = Usage(clock, thread_cpu, process_cpu, thread_waited, machine_waited)
    assert used.is_own_fault(LIMIT_MS / 1000) is own
