"""A model server process whose responses take a fixed time: python -m … SECONDS."""

from __future__ import annotations

import signal
import sys

from tests.chaos.model_server import counting_model

if __name__ == "__main__":
    seconds = float(sys.argv[1])
    with counting_model(seed=0, seconds=(seconds, seconds)) as model:
        sys.stdout.write(model.url + "\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGTERM})
