"""One chaos run: users keep executions going while faults are injected; then all data is checked."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.databases import Database, Embedded
from tests.chaos.faults import Blow, Blows
from tests.chaos.findings import Findings
from tests.chaos.installation import Installation
from tests.chaos.model_server import Call, CountingModel
from tests.chaos.users import Users
from tests.e2e.processes import wait_until
from tests.support.waiting import HANG_SECONDS
from tests.support.wall_clocks import Clocks

SETTINGS = {
    "WORKER_SILENT_SECONDS": "3",
    "RECOVERY_INTERVAL_SECONDS": "1",
    "HEARTBEAT_SECONDS": "0.5",
    "MAX_RECOVERIES": "100",  # so many kills of one execution in a row are chance here
    "WORKER_CONCURRENCY": "60",
    "LOG_LEVEL": "WARNING",
    "OPENAI_API_KEY": "sk-chaos",
    "MODEL_FAST": "openai:gpt-5",
    "MODEL_STANDARD": "openai:gpt-5",
    "MODEL_STRONG": "openai:gpt-5",
}
SILENT_SECONDS = 8.0  # after which a worker counts as dead: no busy machine makes one miss that
SHORT_SILENT_SECONDS = 3.0
SPARED_SILENT_SECONDS = 30.0  # where no worker is hit, none has to be missed soon
OVERSLEPT_SECONDS = 2.0  # that a stopped worker sleeps for longer than that
FIRST_BLOW_SECONDS, PAUSE_SECONDS = 2.0, 0.1


class Chaos:
    """One run. The seed decides what happens, and in what order.

    Attributes:
        accepted: Execution id by mark, of each start that was answered with 201.
    """

    def __init__(
        self,
        data_dir: Path,
        model: CountingModel,
        seed: int,
        at_once: int,
        *,
        database: Database | None = None,
        workers_live: bool = False,
        is_short: bool = False,
        only: Collection[str] = (),
        say: Callable[[str], None] = print,
    ) -> None:
        """Prepare a run.

        Args:
            data_dir: Of the installation.
            model: Which counts calls.
            seed: Of all chance.
            at_once: Executions that are kept going.
            database: The embedded one unless told otherwise.
            workers_live: Hit everything but the workers: then no call at all may be made twice.
            is_short: Take over from dead workers soon. A busy machine may take a living worker for dead then, so that
                calls that were made again are compared with the ledger alone, not with the blows.
            only: The kinds of blows; all that can be done here unless told otherwise.
            say: Told what happens.
        """
        self.accepted: dict[str, str] = {}
        self._model, self._seed, self._at_once, self._say = model, seed, at_once, say
        self._workers_live, self._is_short = workers_live, is_short
        self._began = time.monotonic()
        self._database = Embedded(data_dir) if database is None else database
        silent = SPARED_SILENT_SECONDS if workers_live else SHORT_SILENT_SECONDS if is_short else SILENT_SECONDS
        own = {"OPENAI_BASE_URL": f"{model.url}/v1", "WORKER_SILENT_SECONDS": f"{silent:g}"}
        # The embedded server is a child of our processes, and must not have their clocks.
        set_clocks = Clocks.can_be_set() and not isinstance(self._database, Embedded)
        self._installation = Installation(data_dir, self._database, {**SETTINGS, **own}, set_clocks=set_clocks)
        self._chance = random.Random(seed)  # noqa: S311 - it has to be repeatable
        self._blows = Blows(
            self._installation,
            self._database,
            self._chance,
            sleep_seconds=silent + OVERSLEPT_SECONDS,
            spared=("worker killed", "worker asleep") if workers_live else (),
            only=only,
        )

    @property
    def kills(self) -> Counter[str]:
        """Return how many blows there were, by kind."""
        return self._blows.counts

    def run(
        self,
        seconds: float,
        *,
        kills: int = 0,
        executions: int = 0,
        kills_every: tuple[float, float] = (1.0, 4.0),
        patience: float = HANG_SECONDS,
    ) -> None:
        """Strike for so many seconds, and until there were so many blows and executions; let all end, and check it."""
        self._say(f"on {self._database.name}: {', '.join(self._blows.kinds)}")
        try:
            token = self._installation.start()
            with self._users(token) as (users, check_users):
                end = time.monotonic() + seconds
                next_blow = time.monotonic() + FIRST_BLOW_SECONDS
                while time.monotonic() < end or self.kills.total() < kills or len(users.accepted) < executions:
                    assert time.monotonic() < end + patience, f"too little happened\n{self._logs()}"
                    check_users()
                    self._operate()
                    if time.monotonic() >= next_blow:
                        self._tell(self._blows.strike(), users)
                        next_blow = time.monotonic() + self._chance.uniform(*kills_every)
                    time.sleep(PAUSE_SECONDS)
                self._let_end(users, check_users, patience)
                self._check(users)
        finally:
            self._installation.stop()

    @contextmanager
    def _users(self, token: str) -> Iterator[tuple[Users, Callable[[], None]]]:
        """Provide users at work, and what raises an error of theirs."""
        chance = random.Random(self._seed)  # noqa: S311 - it has to be repeatable
        users = Users(self._installation.ports, token, chance, self._at_once)
        self.accepted = users.accepted
        stop = threading.Event()
        with ThreadPoolExecutor(1, "users") as threads:
            work = threads.submit(users.work, stop)

            def check() -> None:
                if work.done():
                    work.result()

            try:
                yield users, check
            finally:
                stop.set()
                wait([work])
                users.close()

    def _operate(self, *, at_once: bool = False) -> None:
        """Do what an operator does: undo blows in time, or at once, and start what does not run."""
        self._blows.heal(at_once=at_once)
        self._installation.start_again()

    # --- what is left -----------------------------------------------------------------------------------------------

    def _let_end(self, users: Users, check_users: Callable[[], None], seconds: float) -> None:
        self._say(f"no more blows; {len(users.open)} of {len(users.accepted)} executions are still open")
        users.at_once = 0

        def is_over() -> bool:
            check_users()
            self._operate(at_once=True)
            return self._blows.are_healed and users.are_done

        try:
            wait_until(is_over, seconds=seconds, what="the end of all executions")
        except AssertionError as error:
            raise AssertionError(f"{error}: {users.open} are open\n{self._logs()}") from error

    def _check(self, users: Users) -> None:
        self._say("all executions have ended; looking at each")
        findings = Findings(users.ask, self._model, self._blows.history)
        faults = [*self._installation.ended, *findings.faults(users.accepted)]
        unexplained = findings.look_for_causes()
        self._say(f"blows survived: {self.kills.total()} ({dict(self.kills)})")
        bought = self._model.bought.total()
        self._say(f"executions accepted and completed: {len(users.accepted)}; calls bought: {bought}")
        causes = Counter("none" if blow is None else blow.name for _, _, blow in findings.again)
        self._say(f"calls bought again, by the blow on the one before: {dict(causes)}; ledger: {dict(findings.tries)}")
        for earlier, later, blow in findings.again:
            if blow is not None and not blow.target:  # no worker was hit: worth a look
                self._say(f"  {self._when(earlier)}, again {self._when(later)}: {self._when(blow)}")
        if not self._is_short:
            faults += unexplained
        if findings.again and self._workers_live:
            faults.append(f"{len(findings.again)} calls were bought twice, and no worker was hit")
        assert not faults, "\n".join(faults)

    def _tell(self, blow: Blow | None, users: Users) -> None:
        if blow is not None:
            name = f"{blow.name} {blow.target}".strip()
            self._say(f"{blow.began - self._began:6.1f} s  {name} ({len(users.open)} executions are open)")

    def _when(self, what: Blow | Call) -> str:
        name = what.asked_by if isinstance(what, Call) else f"{what.name} {what.target}".strip()
        return f"{name} {what.began - self._began:.1f} to {what.ended - self._began:.1f} s"

    def _logs(self) -> str:
        return self._installation.machine.logs()
