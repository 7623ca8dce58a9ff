"""Processes that execute commands in lines of JSON, and respond to each with one line."""

from __future__ import annotations

import json
import select
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any

from benchmarks import processes
from benchmarks.database import Database

RESPONSE_SECONDS = 120.0


class ResponseTimeout(Exception):
    """A process did not respond in time."""


class CommandProcess:
    """A process that executes commands."""

    def __init__(self, process: Popen[str]) -> None:
        self._process = process

    def request(self, *, timeout: float = RESPONSE_SECONDS, **command: Any) -> dict[str, Any]:
        """Send a command; return the response.

        Raises:
            ResponseTimeout: there was no response in time.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self.read(timeout=timeout)

    def read(self, *, timeout: float = RESPONSE_SECONDS) -> dict[str, Any]:
        """Return the next line of the process.

        Raises:
            ResponseTimeout: there was no line in time.
        """
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            raise ResponseTimeout(f"{self._process.args!r} did not respond within {timeout} s")
        line = processes.read_line(self._process)
        assert line, f"{self._process.args!r} has ended; see processes.log in the data directory"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def start_command_process(module: str, *arguments: object, target: Database) -> Iterator[CommandProcess]:
    """Run a module as a command process."""
    with processes.running("-m", module, *(str(each) for each in arguments), target=target) as process:
        yield CommandProcess(process)
