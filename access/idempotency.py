"""Idempotent requests: IETF draft "The Idempotency-Key HTTP Header Field".

A key belongs to one user, method and path. Only successful responses are stored, in the transaction of their effects:
a crash loses both or neither. While that transaction is open, an advisory lock rejects requests with the same key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from access.errors import BadIdempotencyKey, IdempotencyKeyBusy, IdempotencyKeyReused
from access.selectors import kept_answers
from access.services import ANSWER_RETENTION, keep_answer
from common.database.joint_queries import SqlQuery, run_together
from common.database.server import database_now

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def run_once(
    request: Request, act: Callable[[], Response], *, recheck: Callable[[Any], None], body: object = None
) -> Response:
    """Return the response of `act`, or the stored response of the first request with the same key.

    Args:
        request: The request, with a validated body.
        act: Executes the request and returns its response.
        recheck: Called with the stored body before it is sent again; raises if the user has lost the permission.
        body: What identifies the request's body, as JSON; by default its parsed value.

    Raises:
        BadIdempotencyKey: the key is malformed. IdempotencyKeyBusy: a request with this key is in progress.
        IdempotencyKeyReused: an earlier request with another body used this key.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return act()
    if not _KEY.fullmatch(key):
        raise BadIdempotencyKey
    owner: dict[str, Any] = {
        "user_id": request.user.pk,
        "method": request.method,
        "path": request.path.rstrip("/"),
        "key": key,
    }
    body_hash = _hash(_normalize(request.data if body is None else body)).hexdigest()
    with transaction.atomic():
        now = database_now()
        stored = kept_answers(**owner, since=now - ANSWER_RETENTION)
        _lock(owner, stored)
        for answer in stored:
            return _replay(answer, body_hash=body_hash, recheck=recheck)
        response = act()
        if 200 <= response.status_code < 300:
            headers = {name: value for name, value in response.headers.items() if name != "Content-Type"}
            values: dict[str, Any] = {"status": response.status_code, "headers": headers, "answer": response.data}
            keep_answer(**owner, **values, body_hash=body_hash, now=now)
        return response


def _replay(
    stored: tuple[str, int, dict[str, str], Any], *, body_hash: str, recheck: Callable[[Any], None]
) -> Response:
    first_hash, status, headers, answer = stored
    if first_hash != body_hash:
        raise IdempotencyKeyReused
    recheck(answer)
    return Response(answer, status=status, headers={**headers, REPLAYED_HEADER: "true"})


def _lock(owner: dict[str, Any], stored: QuerySet[Any, Any]) -> None:
    """Lock the key until the transaction ends, and then read its stored response, in one round trip.

    Raises:
        IdempotencyKeyBusy: another transaction holds the lock.
    """
    number = int.from_bytes(_hash(list(owner.values())).digest()[:8], signed=True)
    lock = SqlQuery("SELECT pg_try_advisory_xact_lock(%s::bigint)", [number])
    run_together(lock, stored)
    [(is_locked,)] = lock.rows
    if not is_locked:
        raise IdempotencyKeyBusy


def _hash(value: object) -> Any:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode())


def _normalize(value: Any) -> Any:
    """Return a JSON value in which equal numbers have one form: 1.0 becomes 1; true stays true."""
    if isinstance(value, dict):
        return {name: _normalize(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_normalize(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
