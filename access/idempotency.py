"""Requests that happen once, however often they are sent: RFC draft "The Idempotency-Key HTTP Header Field".

A key belongs to one user, method and path. Only an answer of success is kept, in the transaction of what it tells of:
what ends this process ends both or neither. While that transaction is open, its lock tells others to wait.
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
from access.services import ANSWER_KEPT, keep_answer
from common.database.joint_queries import Question, ask_together
from common.database.server import database_now

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def once(request: Request, act: Callable[[], Response], *, recheck: Callable[[Any], None]) -> Response:
    """Return the answer of `act`, or the first answer again when the request's key has one.

    Args:
        request: The request; its body is known to be a valid one.
        act: Does what is asked for, and answers.
        recheck: Is called with the first answer's body before it is told again; raises when the user lost the right.

    Raises:
        BadIdempotencyKey: the key is none. IdempotencyKeyBusy: a request with it is under way.
        IdempotencyKeyReused: it belongs to a request with another body.
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
    body_hash = _hash(_plain(request.data)).hexdigest()
    with transaction.atomic():
        now = database_now()
        kept = kept_answers(**owner, since=now - ANSWER_KEPT)
        _lock(owner, kept)
        for first in kept:
            return _again(first, body_hash=body_hash, recheck=recheck)
        response = act()
        if 200 <= response.status_code < 300:
            headers = {name: value for name, value in response.headers.items() if name != "Content-Type"}
            told: dict[str, Any] = {"status": response.status_code, "headers": headers, "answer": response.data}
            keep_answer(**owner, **told, body_hash=body_hash, now=now)
        return response


def _again(kept: tuple[str, int, dict[str, str], Any], *, body_hash: str, recheck: Callable[[Any], None]) -> Response:
    first_hash, status, headers, answer = kept
    if first_hash != body_hash:
        raise IdempotencyKeyReused
    recheck(answer)
    return Response(answer, status=status, headers={**headers, REPLAYED: "true"})


def _lock(owner: dict[str, Any], kept: QuerySet[Any, Any]) -> None:
    """Keep others from the same key until the transaction ends, and look, once they are kept, for what it has.

    Raises:
        IdempotencyKeyBusy: another transaction has it.
    """
    number = int.from_bytes(_hash(list(owner.values())).digest()[:8], signed=True)
    lock = Question("SELECT pg_try_advisory_xact_lock(%s::bigint)", [number])
    ask_together(lock, kept)
    [(is_ours,)] = lock.rows
    if not is_ours:
        raise IdempotencyKeyBusy


def _hash(value: object) -> Any:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode())


def _plain(value: Any) -> Any:
    """Return a JSON value so that equal ones are written alike: 1.0 is 1, and true is not."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
