"""Ends a child process with its parent, also after SIGKILL of the parent, which runs no cleanup.

The parent puts its pid into `END_WITH_PARENT`. The child compares it with the pid of its current parent: the kernel
immediately assigns another parent to an orphan.
"""

from __future__ import annotations

import os
import signal
import threading
import time

VARIABLE = "END_WITH_PARENT"
_POLL_SECONDS = 0.2


def end_with_parent() -> None:
    """Send SIGTERM to this process when the parent in `END_WITH_PARENT` ends; without the variable do nothing.

    The variable is removed from the environment, because children of this process have another parent.
    """
    parent = os.environ.pop(VARIABLE, "")
    if parent.isdigit():
        threading.Thread(target=_watch, args=(int(parent),), name="parent-watch", daemon=True).start()


def child_environment() -> dict[str, str]:
    """Return the variable for the environment of a child that must end with this process."""
    return {VARIABLE: str(os.getpid())}


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
