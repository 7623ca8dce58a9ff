"""Pushpin and the relay as real processes, with the configuration that ships."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.e2e.processes import ROOT, STOP_SECONDS, Machine, free_port, wait_until

KEY = "a-key-of-a-test-a-key-of-a-test-a-key"
CONTROL_PORTS = range(5560, 5564)


@dataclass
class Pushpin:
    """A Pushpin in front of a web process; all its files are in one directory, but for its sockets."""

    directory: Path
    sockets: Path  # a short path: a socket's has less than 108 bytes
    target: int  # port of the web process
    port: int
    offset: int  # of the ports of its control endpoint
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def control_port(self) -> int:
        """Where it takes events."""
        return 5561 + self.offset

    @property
    def grip_url(self) -> str:
        """Where the relay publishes, and how requests are signed."""
        return f"http://127.0.0.1:{self.control_port}?verify-key={KEY}&verify-iss=pushpin"

    def configure(self) -> None:
        """Write the configuration that ships, with the ports, the directory and the key of this one."""
        self.directory.mkdir()
        (self.directory / "log").mkdir()
        shipped = (ROOT / "examples" / "pushpin" / "pushpin.conf").read_text()
        for name, value in (
            ("rundir", self.sockets),
            ("logdir", self.directory / "log"),
            ("http_port", self.port),
            ("port_offset", self.offset),
            ("sig_key", KEY),
        ):
            [line] = [line for line in shipped.splitlines() if line.startswith(f"{name}=")]
            shipped = shipped.replace(f"\n{line}\n", f"\n{name}={value}\n")
        (self.directory / "pushpin.conf").write_text(shipped)
        (self.directory / "routes").write_text(f"* 127.0.0.1:{self.target}\n")

    @property
    def pids(self) -> list[int]:
        """The processes that it consists of now."""
        return family(self.processes[-1].pid)

    def kill(self) -> None:
        """End all of it at once."""
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        self.processes[-1].wait()
        wait_until(lambda: not any(map(_answers, (self.port, self.control_port))), what="Pushpin's death")

    def start(self) -> None:
        """Start it, and wait until it takes clients and events."""
        with (self.directory / "output").open("ab") as output:
            process = subprocess.Popen(
                ["pushpin", f"--config={self.directory / 'pushpin.conf'}"], stdout=output, stderr=subprocess.STDOUT
            )
        self.processes.append(process)
        for port in (self.port, self.control_port):
            wait_until(partial(_answers, port), what="Pushpin's start")


def family(pid: int) -> list[int]:
    """Return the process and all that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return [pid, *(each for child in children for each in family(int(child)))]


def _free_offset() -> int:
    """Return a free offset for the ports of a control endpoint, below the ephemeral ports of the system."""
    for offset in range(15_000 + os.getpid() % 1_000 * 8, 25_000, 8):
        with suppress(OSError), ExitStack() as probes:
            for port in CONTROL_PORTS:
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            return offset
    raise AssertionError("no four ports in a row are free")


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def pushpin(machine: Machine) -> Iterator[Pushpin]:
    """Provide a Pushpin in front of a machine's web process, which is told of it but not started here."""
    machine.data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pushpin-") as sockets:
        proxy = Pushpin(
            machine.data_dir / "pushpin", Path(sockets), target=machine.port, port=free_port(), offset=_free_offset()
        )
        proxy.configure()
        machine.environment["GRIP_URL"] = proxy.grip_url
        proxy.start()
        try:
            yield proxy
        finally:
            proxy.processes[-1].terminate()
            proxy.processes[-1].wait(STOP_SECONDS)
