"""`make chaos`: kill everything at random for a while, and see that nothing is lost."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.driver import Chaos
from tests.chaos.model_server import counting_model


def main() -> int:
    """Run it, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--at-once", type=int, default=50, help="executions that are kept going")
    parser.add_argument("--workers-live", action="store_true", help="kill everything but the workers")
    chosen = parser.parse_args()
    sys.stdout.write(f"seed {chosen.seed}\n")
    data_dir = Path(tempfile.mkdtemp(prefix="scriptorium-chaos-"))
    with counting_model(seed=chosen.seed, seconds=(1.0, 4.0)) as model:
        chaos = Chaos(data_dir, model, chosen.seed, chosen.at_once, workers_live=chosen.workers_live, say=_say)
        chaos.run(chosen.seconds)
    shutil.rmtree(data_dir)
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
