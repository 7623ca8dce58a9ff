"""The web processes and workers of a chaos run. Each is restarted after it ends, as an init system does."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.databases import Database
from tests.e2e.processes import Machine, free_port
from tests.support.wall_clocks import Clocks, WallClock


@dataclass(eq=False)
class Program:
    """One of the programs, and the process that runs it now."""

    title: str
    words: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    clock: WallClock | None = None  # None: the wall clock of its machine, which cannot be set
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    is_asleep: bool = False
    is_killed: bool = False

    @property
    def name(self) -> str:
        """Return the name of the present process, which no other has ever had. A worker calls the model with it."""
        return f"{self.title}-{self.starts}"

    @property
    def is_running(self) -> bool:
        """Return whether the present process has not ended."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End the present process with SIGKILL."""
        assert self.process is not None
        self.is_killed = True
        self.process.kill()
        self.process.wait()

    def sleep(self) -> None:
        """Stop the present process."""
        assert self.process is not None
        self.is_asleep = True
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        if self.is_running and self.process is not None:
            self.process.send_signal(signal.SIGCONT)
        self.is_asleep = False


class Installation:
    """Two web processes and two workers on one database."""

    def __init__(self, data_dir: Path, database: Database, settings: dict[str, str], *, set_clocks: bool) -> None:
        """Describe it; `set_clocks` gives each program a wall clock that can be set."""
        self.machine = Machine(data_dir, environment={**settings, **database.environment})
        self.ports = [self.machine.port, free_port()]
        self.ended: list[str] = []  # what has ended though nothing was done to it
        self.web = [
            Program(f"web-{number}", ("serve", "--no-worker"), {"PORT": str(port)})
            for number, port in enumerate(self.ports)
        ]
        self.workers = [Program(f"worker-{number}", ("worker",)) for number in range(2)]
        if set_clocks:
            data_dir.mkdir(parents=True, exist_ok=True)
            clocks = Clocks(data_dir)
            for each in self.programs:
                each.clock = clocks.make()

    @property
    def programs(self) -> list[Program]:
        """Return all processes."""
        return [*self.web, *self.workers]

    def start(self) -> str:
        """Start everything, and return the token of a user."""
        if "DATABASE_URL" in self.machine.environment:
            self.machine.prepare()
        self._start(self.web[0])
        assert self.web[0].process is not None
        self.machine.wait_for(self.web[0].process)
        token = self.machine.token("chaos")
        self.start_again()
        return token

    def start_again(self) -> None:
        """Start what does not run, and note what has ended by itself."""
        for each in self.programs:
            if each.is_running:
                continue
            if each.process is not None and not each.is_killed:
                self.ended.append(f"{each.name} ended by itself, with {each.process.returncode}")
            self._start(each)

    def stop(self) -> None:
        """End everything."""
        self.machine.stop()

    def _start(self, program: Program) -> None:
        program.starts += 1
        program.is_killed = program.is_asleep = False
        environment = {**program.environment, "OPENAI_API_KEY": program.name}
        if program.clock is not None:
            environment |= program.clock.environment
        program.process = self.machine.start(*program.words, **environment)
