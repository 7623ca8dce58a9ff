"""How often passwords may be tried: counted for each pair of a network and a name, and for each network.

A name alone is never locked: otherwise its owner could be kept out by anyone. All processes count in one table. A try
is counted before the password is looked at, so that tries at once are counted too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.crypto import salted_hmac

from access.errors import TooManyTries
from common.database import bulk
from common.limits import limits

WINDOW_SECONDS = 300
_REMOVED_AT_ONCE = 10  # rows that no longer count, with each try, which adds two

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
_FORGET = "DELETE FROM access_passwordtries WHERE key = %s"
_TAKE_BACK = "UPDATE access_passwordtries SET count = count - 1 WHERE key = %s AND began_at = %s AND count > 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """A try that was counted."""

    pair: str
    pair_began_at: datetime  # the span in which it was counted for the pair
    network: str
    network_began_at: datetime  # the span in which it was counted for the network


def count_try(*, network: str, name: str, now: datetime) -> Try:
    """Count a try before it is made. One that is refused is not counted.

    Raises:
        TooManyTries: there were too many of the pair, or of the network.
    """
    pair, whole = _key(network, name), _key(network)
    with transaction.atomic():
        pair_began_at = _count(pair, most=limits().password_tries, now=now)
        began_at = _count(whole, most=limits().password_tries_per_address, now=now)
        bulk.execute(_REMOVE_OLD, [now - timedelta(seconds=WINDOW_SECONDS), _REMOVED_AT_ONCE])
    return Try(pair=pair, pair_began_at=pair_began_at, network=whole, network_began_at=began_at)


@transaction.atomic
def forget_try(counted: Try) -> None:
    """Note that the password was right: the pair begins anew, and the network has made one try less.

    All of the network's other tries stay: a right password of one's own opens no way to try more wrong ones of others.
    """
    bulk.execute(_FORGET, [counted.pair])
    bulk.execute(_TAKE_BACK, [counted.network, counted.network_began_at])


@transaction.atomic
def take_back_try(counted: Try) -> None:
    """Note that the password was not looked at: the pair and the network have made one try less."""
    bulk.execute(_TAKE_BACK, [counted.pair, counted.pair_began_at])
    bulk.execute(_TAKE_BACK, [counted.network, counted.network_began_at])


def _count(key: str, *, most: int, now: datetime) -> datetime:
    over = now - timedelta(seconds=WINDOW_SECONDS)
    found = bulk.execute(_COUNT, [key, now, over, over, over, most]).fetchone()
    if found is None:
        [began_at] = bulk.execute(_BEGAN, [key]).fetchone() or (now,)
        left = began_at + timedelta(seconds=WINDOW_SECONDS) - now
        raise TooManyTries(seconds=max(1, -(-int(left.total_seconds() * 1000) // 1000)))
    began: datetime = found[0]
    return began


def _key(*parts: str) -> str:
    """Return what names a pair or a network in the table, which tells no address and no name."""
    return salted_hmac("access.passwords.attempts", "\0".join(parts), algorithm="sha256").hexdigest()
