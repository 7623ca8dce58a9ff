"""A process ends with the one that started it, whatever ended that: also SIGKILL, which runs no cleanup.

The starting process names itself in `END_WITH_PARENT`. The started one compares its parent's number with it: the kernel
gives an orphan another parent at once.
"""

from __future__ import annotations

import os
import signal
import threading
import time

VARIABLE = "END_WITH_PARENT"
_POLL_SECONDS = 0.2


def end_with_parent() -> None:
    """Send this process SIGTERM once the parent that `END_WITH_PARENT` names is gone; without the variable do nothing.

    The variable is taken out of the environment: processes that this one starts have another parent.
    """
    parent = os.environ.pop(VARIABLE, "")
    if parent.isdigit():
        threading.Thread(target=_watch, args=(int(parent),), name="parent-watch", daemon=True).start()


def child_environment() -> dict[str, str]:
    """Return the variable for the environment of a child that shall end with this process."""
    return {VARIABLE: str(os.getpid())}


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
