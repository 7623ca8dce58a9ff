"""Password hashes, few at once: each takes a core for a third of a second."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from access.errors import Busy
from common.limits import limits

PATIENCE_SECONDS = 5.0  # that a hash waits for its turn
MOST_WAITING = 32  # hashes; one more is refused at once
HASHES_OF_A_NETWORK = 3  # hashes that wait or are computed

_turns = threading.Condition()
_at_work = 0
_waiting: list[object] = []  # in order of arrival
_of_networks: Counter[str] = Counter()


@contextmanager
def hashing_for(network: str) -> Iterator[None]:
    """Count the hashes of the block for a network: a few networks cannot keep the others waiting.

    Raises:
        Busy: as many as one network may have wait or are computed.
    """
    with _turns:
        if _of_networks[network] >= HASHES_OF_A_NETWORK:
            raise Busy
        _of_networks[network] += 1
    try:
        yield
    finally:
        with _turns:
            _of_networks[network] -= 1
            if not _of_networks[network]:
                del _of_networks[network]


class BoundedPBKDF2PasswordHasher(PBKDF2PasswordHasher):
    """Django's own hasher, which computes no more hashes at once than the limit says."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Return the hash, once it was this one's turn.

        Raises:
            Busy: too many others wait, or it waited for too long.
        """
        with _turn():
            return super().encode(password, salt, iterations)


@contextmanager
def _turn() -> Iterator[None]:
    global _at_work
    with _turns:
        _wait()
        _at_work += 1
    try:
        yield
    finally:
        with _turns:
            _at_work -= 1
            _turns.notify_all()


def _wait() -> None:
    """Wait until fewer hashes than the limit are computed, first come, first served."""
    if len(_waiting) >= MOST_WAITING:
        raise Busy
    turn = object()
    _waiting.append(turn)
    try:
        if not _turns.wait_for(
            lambda: _waiting[0] is turn and _at_work < limits().password_hashes_at_once, PATIENCE_SECONDS
        ):
            raise Busy
    finally:
        _waiting.remove(turn)
        _turns.notify_all()
