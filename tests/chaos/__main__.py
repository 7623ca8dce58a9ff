"""`make chaos`: inject random faults for some minutes, and check that no data is lost."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tests.chaos.databases import Embedded, Installed, installed
from tests.chaos.driver import Chaos
from tests.chaos.model_server import counting_model
from tests.support import postgresql_servers
from tests.support.wall_clocks import Clocks


def main() -> int:
    """Run it, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--at-once", type=int, default=50, help="executions that are kept going")
    parser.add_argument("--embedded", action="store_true", help="on the embedded PostgreSQL, not on an installed one")
    parser.add_argument("--workers-live", action="store_true", help="hit everything but the workers")
    parser.add_argument("--only", default="", help="kinds of blows, with commas between them: failover,clock")
    chosen = parser.parse_args()
    _say(f"seed {chosen.seed}")
    data_dir = Path(tempfile.mkdtemp(prefix="scriptorium-chaos-"))
    only = [name for name in chosen.only.split(",") if name]
    with (
        counting_model(seed=chosen.seed, seconds=(1.0, 4.0)) as model,
        _database(data_dir, embedded=chosen.embedded) as database,
    ):
        flags = {"workers_live": chosen.workers_live, "only": only, "say": _say}
        Chaos(data_dir, model, chosen.seed, chosen.at_once, database=database, **flags).run(chosen.seconds)
    shutil.rmtree(data_dir)
    return 0


def _database(data_dir: Path, *, embedded: bool) -> AbstractContextManager[Embedded | Installed]:
    """Provide an installed PostgreSQL, if there is one, and say what is left out."""
    if embedded or postgresql_servers.programs() is None:
        _say("left out, as they need an installed PostgreSQL: read-only, silence, failover, clock")
        return nullcontext(Embedded(data_dir))
    if not Clocks.can_be_set():
        _say("left out, as it needs Linux and a C compiler: clock")
    return installed()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
