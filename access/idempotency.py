"""Idempotent requests: IETF draft "The Idempotency-Key HTTP Header Field".

A key belongs to one user, method and path. Only successful responses are stored, in the transaction of their effects:
a crash loses both or neither. While that transaction is open, an advisory lock rejects requests with the same key.

Forms of pages send a key in a hidden field. A form that is sent again waits for the first one, and gets its result.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from pydantic import JsonValue
from rest_framework.request import Request
from rest_framework.response import Response

from access.errors import BadIdempotencyKey, IdempotencyKeyBusy, IdempotencyKeyReused, IdempotencySecret
from access.selectors import kept_answers
from access.services import ANSWER_RETENTION, FORM_RETENTION, keep_answer
from common.database.bulk import SqlQuery, run_together
from common.database.server import database_now
from common.errors import Erased

HEADER = "Idempotency-Key"  # and the name of the hidden field in forms
REPLAYED_HEADER = "Idempotency-Replayed"
_GONE = "What this request made was erased."
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FORM_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s::bigint)"
_WAIT_FOR_LOCK = "SELECT pg_advisory_xact_lock(%s::bigint) IS NOT NULL"


def run_once(
    request: Request,
    act: Callable[[], Response],
    *,
    recheck: Callable[[Any], object],
    body: object = None,
    is_secret: bool = False,
) -> Response:
    """Return the response of `act`, or the stored response of the first request with the same key.

    Args:
        request: The request, with a validated body.
        act: Executes the request and returns its response.
        recheck: Called with the stored body before it is sent again; raises if the user has lost the permission.
        body: What identifies the request's body, as JSON; by default its parsed value.
        is_secret: The response holds a secret. The key is stored without the response; `recheck` gets None.

    Raises:
        BadIdempotencyKey: the key is malformed. IdempotencyKeyBusy: a request with this key is in progress.
        IdempotencyKeyReused: an earlier request with another body used this key.
        IdempotencySecret: an earlier request used this key, and its response held a secret.
        Erased: an earlier request used this key, and what it made was erased.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return act()
    if not _KEY.fullmatch(key):
        raise BadIdempotencyKey
    owner = _owner(request, key)
    body_hash = _hash(_normalize(request.data if body is None else body)).hexdigest()
    with transaction.atomic():
        for answer in _locked(owner, statement=_TRY_LOCK):
            return _replay(answer, body_hash=body_hash, recheck=recheck, is_secret=is_secret)
        response = act()
        if 200 <= response.status_code < 300:
            headers = {name: value for name, value in response.headers.items() if name != "Content-Type"}
            told = {"headers": {}, "answer": None} if is_secret else {"headers": headers, "answer": response.data}
            keep_answer(**owner, **told, status=response.status_code, body_hash=body_hash, now=database_now())
        return response


def run_form_once(request: HttpRequest, act: Callable[[], JsonValue], *, values: JsonValue = None) -> JsonValue:
    """Return the result of `act`, or the stored result of the same form with the same key in its hidden field.

    The caller checks the user's permission before. A form that was changed is another one: it acts again.

    Args:
        request: A request with a form.
        act: Stores what the form sends; its result is stored with it.
        values: What the form means, if a form that was changed may not act again under its key: a start costs money.

    Raises:
        BadIdempotencyKey: the key is malformed.
        Erased: the same form was sent before, and what it told was erased.
        IdempotencyKeyReused: the key has acted with other `values`.
    """
    key = str(request.POST.get(HEADER, ""))
    if not key:
        return act()
    if not _FORM_KEY.fullmatch(key):
        raise BadIdempotencyKey
    sent = [[name, *values] for name, values in request.POST.lists() if name not in _NOT_SENT_BY_PERSONS]
    body_hash = _hash(sent if values is None else values).hexdigest()
    owner = _owner(request, f"{key}.{body_hash}" if values is None else key)
    with transaction.atomic():
        for first_hash, status, _, result in _locked(owner, statement=_WAIT_FOR_LOCK):
            if status == HTTPStatus.GONE:
                raise Erased(_GONE)
            if first_hash != body_hash:
                raise IdempotencyKeyReused
            return cast(JsonValue, result)
        result = act()
        keep_answer(**owner, status=200, headers={}, answer=result, body_hash=body_hash, now=database_now())
        return result


#: Members of a form that say nothing about what it does: a login in another tab changes the second one.
_NOT_SENT_BY_PERSONS = frozenset({HEADER, "csrfmiddlewaretoken"})


def _owner(request: Request | HttpRequest, key: str) -> dict[str, Any]:
    """Return what a stored response belongs to. Ids in its path are lower case, whatever the client has written."""
    path = _ID.sub(lambda found: found[0].lower(), request.path.rstrip("/"))
    return {"user_id": request.user.pk, "method": request.method, "path": path, "key": key}


def _replay(
    stored: tuple[str, int, dict[str, str], Any],
    *,
    body_hash: str,
    recheck: Callable[[Any], object],
    is_secret: bool,
) -> Response:
    first_hash, status, headers, answer = stored
    if first_hash != body_hash:
        raise IdempotencyKeyReused
    if status == HTTPStatus.GONE:
        raise Erased(_GONE)
    recheck(answer)
    if is_secret:
        raise IdempotencySecret
    return Response(answer, status=status, headers={**headers, REPLAYED_HEADER: "true"})


def _locked(owner: dict[str, Any], *, statement: str) -> QuerySet[Any, Any]:
    """Lock the key until the transaction ends, and then read its stored response, in one round trip.

    Raises:
        IdempotencyKeyBusy: another transaction holds the lock, and the statement does not wait for it.
    """
    retention = ANSWER_RETENTION if owner["path"].startswith("/api/") else FORM_RETENTION
    stored = kept_answers(**owner, since=database_now() - retention)
    number = int.from_bytes(_hash(list(owner.values())).digest()[:8], signed=True)
    lock = SqlQuery(statement, [number])
    run_together(lock, stored)
    [(is_locked,)] = lock.rows
    if not is_locked:
        raise IdempotencyKeyBusy
    return stored


def _hash(value: object) -> Any:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode())


def _normalize(value: Any) -> Any:
    """Return a JSON value in which equal numbers have one form: 1.0 becomes 1; true stays true."""
    if isinstance(value, dict):
        return {name: _normalize(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_normalize(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
