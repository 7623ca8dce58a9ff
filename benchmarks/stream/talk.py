"""Processes that are told what to do by lines of JSON, and answer each with one."""

from __future__ import annotations

import json
import select
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any

from benchmarks import processes
from benchmarks.database import Database

ANSWER_SECONDS = 120.0


class TookTooLong(Exception):
    """A process did not answer in time."""


class Told:
    """One such process."""

    def __init__(self, process: Popen[str]) -> None:
        self._process = process

    def ask(self, *, answer_within: float = ANSWER_SECONDS, **command: Any) -> dict[str, Any]:
        """Have something done; return the answer.

        Raises:
            TookTooLong: there was none.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self.hear(answer_within=answer_within)

    def hear(self, *, answer_within: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Return what the process says next.

        Raises:
            TookTooLong: it says nothing.
        """
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], answer_within)[0]:
            raise TookTooLong(f"{self._process.args!r} said nothing for {answer_within} s")
        line = processes.line_of(self._process)
        assert line, f"{self._process.args!r} has ended; see processes.log in the data directory"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def told(module: str, *arguments: object, place: Database) -> Iterator[Told]:
    """Provide a module as such a process."""
    with processes.running("-m", module, *(str(each) for each in arguments), place=place) as process:
        yield Told(process)
