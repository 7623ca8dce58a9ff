"""Limits on password attempts: per pair of network and name, and per network.

A name alone is never locked, because then anyone could lock its owner out. All processes count in one table. An
attempt is counted before the password is checked, so that concurrent attempts are counted too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.crypto import salted_hmac

from access.errors import Busy, TooManyTries
from access.passwords.hashers import reserve_hash
from common.database import bulk
from common.limits import limits

WINDOW_SECONDS = 300
_CLEANUP_BATCH = 10  # expired rows that each attempt deletes; an attempt adds two

_COUNT = """
INSERT INTO access_passwordtries AS tries (key, count, began_at) VALUES (%s, 1, %s)
ON CONFLICT (key) DO UPDATE SET
  count = CASE WHEN tries.began_at <= %s THEN 1 ELSE tries.count + 1 END,
  began_at = CASE WHEN tries.began_at <= %s THEN excluded.began_at ELSE tries.began_at END
WHERE tries.began_at <= %s OR tries.count < %s
RETURNING began_at
"""
_BEGAN = "SELECT began_at FROM access_passwordtries WHERE key = %s"
_REMOVE_OLD = """
DELETE FROM access_passwordtries WHERE key IN (
  SELECT key FROM access_passwordtries WHERE began_at <= %s ORDER BY began_at LIMIT %s FOR UPDATE SKIP LOCKED
)
"""
_RESET = "DELETE FROM access_passwordtries WHERE key = %s"
_DECREMENT = "UPDATE access_passwordtries SET count = count - 1 WHERE key = %s AND began_at = %s AND count > 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A counted attempt."""

    pair: str
    pair_began_at: datetime  # start of the pair's time window
    network: str
    network_began_at: datetime  # start of the network's time window


def count_attempt(*, network: str, name: str, now: datetime) -> Attempt:
    """Count an attempt before the password is checked. A rejected attempt is not counted.

    Raises:
        TooManyTries: the pair or the network has reached its limit.
    """
    pair, network_key = _key(network, name), _key(network)
    with transaction.atomic():
        pair_began_at = _count(pair, limit=limits().password_tries, now=now)
        began_at = _count(network_key, limit=limits().password_tries_per_address, now=now)
        bulk.execute(_REMOVE_OLD, [now - timedelta(seconds=WINDOW_SECONDS), _CLEANUP_BATCH])
    return Attempt(pair=pair, pair_began_at=pair_began_at, network=network_key, network_began_at=began_at)


@contextmanager
def counted_attempt(*, network: str, name: str, now: datetime) -> Iterator[Attempt]:
    """Count an attempt, and reserve the hash that it needs. An attempt whose hash finds no slot does not count.

    Raises:
        TooManyTries: see `count_attempt`. Busy: too many passwords are being hashed.
    """
    counted = count_attempt(network=network, name=name, now=now)
    try:
        with reserve_hash(network):
            yield counted
    except Busy:
        undo_attempt(counted)
        raise


@transaction.atomic
def record_success(counted: Attempt) -> None:
    """Record that the password was correct: reset the pair's count, and decrement the network's count.

    The network's other attempts still count: an attacker with an account cannot reset them by logging in.
    """
    bulk.execute(_RESET, [counted.pair])
    bulk.execute(_DECREMENT, [counted.network, counted.network_began_at])


@transaction.atomic
def undo_attempt(counted: Attempt) -> None:
    """Record that the password was not checked: decrement the counts of the pair and the network."""
    bulk.execute(_DECREMENT, [counted.pair, counted.pair_began_at])
    bulk.execute(_DECREMENT, [counted.network, counted.network_began_at])


def _count(key: str, *, limit: int, now: datetime) -> datetime:
    window_start = now - timedelta(seconds=WINDOW_SECONDS)
    found = bulk.execute(_COUNT, [key, now, window_start, window_start, window_start, limit]).fetchone()
    if found is None:
        [began_at] = bulk.execute(_BEGAN, [key]).fetchone() or (now,)
        left = began_at + timedelta(seconds=WINDOW_SECONDS) - now
        raise TooManyTries(seconds=max(1, -(-int(left.total_seconds() * 1000) // 1000)))
    began: datetime = found[0]
    return began


def _key(*parts: str) -> str:
    """Return the table key of a pair or a network: a keyed hash, which hides the address and the name."""
    return salted_hmac("access.passwords.attempts", "\0".join(parts), algorithm="sha256").hexdigest()
