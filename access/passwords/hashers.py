"""Password hashing with limited concurrency: each hash uses a core for a third of a second."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from access.errors import Busy
from common.limits import limits

MAX_WAIT_SECONDS = 5.0  # that a hash waits in the queue
MAX_WAITING = 32  # queued hashes; more are rejected immediately
MAX_HASHES_PER_NETWORK = 3  # queued or running

_condition = threading.Condition()
_running = 0
_waiting: list[object] = []  # in arrival order
_per_network: Counter[str] = Counter()


@contextmanager
def reserve_hash(network: str) -> Iterator[None]:
    """Reserve one of the hashes that a network may have, so that a few networks cannot occupy the queue.

    Raises:
        Busy: the network has `MAX_HASHES_PER_NETWORK` hashes already.
    """
    with _condition:
        if _per_network[network] >= MAX_HASHES_PER_NETWORK:
            raise Busy
        _per_network[network] += 1
    try:
        yield
    finally:
        with _condition:
            _per_network[network] -= 1
            if not _per_network[network]:
                del _per_network[network]


class BoundedPBKDF2PasswordHasher(PBKDF2PasswordHasher):
    """Django's PBKDF2 hasher with a limit on concurrent hashes."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Wait for a slot, and return the hash.

        Raises:
            Busy: the queue is full, or the wait exceeded `MAX_WAIT_SECONDS`.
        """
        with _slot():
            return super().encode(password, salt, iterations)


@contextmanager
def _slot() -> Iterator[None]:
    global _running
    with _condition:
        _wait()
        _running += 1
    try:
        yield
    finally:
        with _condition:
            _running -= 1
            _condition.notify_all()


def _wait() -> None:
    """Wait until fewer hashes than the limit are running, first come, first served."""
    if len(_waiting) >= MAX_WAITING:
        raise Busy
    entry = object()
    _waiting.append(entry)
    try:
        if not _condition.wait_for(
            lambda: _waiting[0] is entry and _running < limits().password_hashes_at_once, MAX_WAIT_SECONDS
        ):
            raise Busy
    finally:
        _waiting.remove(entry)
        _condition.notify_all()
