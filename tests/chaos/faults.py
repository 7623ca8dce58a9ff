"""The faults that a chaos run injects, in an order that the seed determines."""

from __future__ import annotations

import math
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

from tests.chaos.databases import Database, Heal, Installed
from tests.chaos.installation import Installation, Program

READ_ONLY_SECONDS, SILENCE_SECONDS = (2.0, 6.0), (2.0, 8.0)
WRONG_SECONDS = (60, 3600)  # of a wall clock, ahead or behind
WORKER_KILLED, WORKER_ASLEEP, CLOCK = "worker killed", "worker asleep", "clock"


@dataclass(eq=False)
class Blow:
    """One blow, and how long it lasted, in seconds of `time.monotonic`."""

    name: str
    heal: Heal
    began: float
    due: float  # when it is time to heal it
    target: str = ""  # the name of the process that was hit; empty: the database
    ended: float = math.inf


Way = Callable[[], Blow | None]


class Blows:
    """Draws blows, and heals each in time. One blow at a time is on the database."""

    def __init__(
        self,
        installation: Installation,
        database: Database,
        chance: random.Random,
        *,
        sleep_seconds: float,
        spared: Collection[str] = (),
        only: Collection[str] = (),
    ) -> None:
        """Prepare blows of all kinds but `spared`; with `only`, of those kinds alone, each as often as the others."""
        self.history: list[Blow] = []
        self._installation, self._database, self._chance = installation, database, chance
        self._sleep_seconds = sleep_seconds
        self._open: list[Blow] = []
        found = {name: way for name, way in self._ways().items() if name not in spared}
        self._ways_by_name = {name: way for name, (way, _) in found.items() if not only or name in only}
        self._weights = {name: 1 if only else weight for name, (_, weight) in found.items()}
        assert not set(only) - set(self._ways_by_name), f"not possible here: {set(only) - set(self._ways_by_name)}"
        self._drawn: list[str] = []

    @property
    def kinds(self) -> list[str]:
        """Return the names of what may happen."""
        return list(self._ways_by_name)

    @property
    def counts(self) -> Counter[str]:
        """Return how many there were, by kind."""
        return Counter(each.name for each in self.history)

    @property
    def are_healed(self) -> bool:
        """Return whether nothing is left to heal."""
        return not self._open

    def strike(self) -> Blow | None:
        """Do the next thing that can be done now, and return it; None: nothing can."""
        if not self._drawn:
            self._drawn = [name for name in self._ways_by_name for _ in range(self._weights[name])]
            self._chance.shuffle(self._drawn)
        for name in self._drawn:
            blow = self._ways_by_name[name]()
            if blow is not None:
                self._drawn.remove(name)
                self.history.append(blow)
                self._open.append(blow)
                return blow
        return None

    def heal(self, *, at_once: bool = False) -> None:
        """Heal what it is time to heal; or everything, as soon as it can be."""
        now = time.monotonic()
        for blow in list(self._open):
            if (at_once or now >= blow.due) and blow.heal():
                blow.ended = time.monotonic()
                self._open.remove(blow)

    # --- the kinds, and how often each is drawn ---------------------------------------------------------------------

    def _ways(self) -> dict[str, tuple[Way, int]]:
        database, on_database = self._database, self._on_database
        found: dict[str, tuple[Way, int]] = {
            WORKER_KILLED: (lambda: self._kill(WORKER_KILLED, self._installation.workers), 4),
            WORKER_ASLEEP: (self._put_to_sleep, 2),
            "web killed": (lambda: self._kill("web killed", self._installation.web), 2),
            "PostgreSQL killed": (
                lambda: on_database("PostgreSQL killed", lambda: database.end(signal.SIGKILL)), 2),
            "PostgreSQL shut down at once": (
                lambda: on_database("PostgreSQL shut down at once", lambda: database.end(signal.SIGQUIT)), 2),
            "connections dropped": (lambda: on_database("connections dropped", database.drop_connections), 3),
        }  # fmt: skip
        if isinstance(database, Installed):
            found |= {
                "read-only": (
                    lambda: on_database("read-only", database.take_no_changes, READ_ONLY_SECONDS), 2),
                "silence": (lambda: on_database("silence", database.fall_silent, SILENCE_SECONDS), 2),
                "failover": (lambda: on_database("failover", database.fail_over), 2),
            }  # fmt: skip
        if any(each.clock is not None for each in self._installation.programs):
            found[CLOCK] = (self._set_a_clock, 3)
        return found

    def _on_database(
        self, name: str, strike: Callable[[], Heal | None], seconds: tuple[float, float] = (0.0, 0.0)
    ) -> Blow | None:
        if any(not each.target for each in self._open) or not self._database.is_whole():
            return None
        began = time.monotonic()
        heal = strike()
        return None if heal is None else Blow(name, heal, began, began + self._chance.uniform(*seconds))

    def _kill(self, name: str, programs: list[Program]) -> Blow | None:
        program = self._one_of(programs)
        if program is None:
            return None
        began = time.monotonic()
        program.kill()
        return Blow(name, lambda: True, began, began, program.name)

    def _put_to_sleep(self) -> Blow | None:
        program = self._one_of(self._installation.workers)
        if program is None:
            return None
        began = time.monotonic()
        program.sleep()

        def wake() -> bool:
            program.wake()
            return True

        return Blow(WORKER_ASLEEP, wake, began, began + self._sleep_seconds, program.name)

    def _set_a_clock(self) -> Blow | None:
        program = self._one_of([each for each in self._installation.programs if each.clock is not None])
        if program is None or program.clock is None:
            return None
        began = time.monotonic()
        program.clock.set(self._chance.choice((-1, 1)) * self._chance.randint(*WRONG_SECONDS))
        return Blow(CLOCK, lambda: True, began, began, program.name)

    def _one_of(self, programs: list[Program]) -> Program | None:
        """Return one that runs and is awake."""
        awake = [each for each in programs if each.is_running and not each.is_asleep]
        return self._chance.choice(awake) if awake else None
