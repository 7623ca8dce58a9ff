"""Mapping of provider errors to model errors: reason, retry, delay, and whether the call may have cost something."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from pydantic_ai import exceptions

from common.database.server import database_now
from executions.engine.domain.errors import ModelError
from executions.engine.domain.retries import sentence
from executions.engine.domain.states import FailureCode
from executions.llm.pydantic_ai.overflow import overflows
from executions.llm.usage.transcript import current, is_html

MAX_CLOCK_SKEW = timedelta(days=1)  # greater differences from the provider's clock are not trusted

_MAX_MESSAGE = 500  # characters of a provider's message that are stored

#: Errors for which a retry of the same request would not help; the first match counts.
_PERMANENT: tuple[tuple[type[exceptions.ModelAPIError], FailureCode, str], ...] = (
    (
        exceptions.ModelContextWindowExceededError,
        FailureCode.CONTEXT_TOO_LONG,
        "Lower the step's input_token_budget, or choose a model with a larger context window.",
    ),
    (
        exceptions.ModelQuotaExceededError,
        FailureCode.PROVIDER_REJECTED,
        "The account's quota or credit is used up: raise it with the provider.",
    ),
    (
        exceptions.ModelAuthenticationError,
        FailureCode.PROVIDER_REJECTED,
        "Check the API key, its permissions, and its access to this model.",
    ),
    (
        exceptions.ModelNotFoundError,
        FailureCode.PROVIDER_REJECTED,
        "Check the model's name: the step's model, or the value of its alias (MODEL_STANDARD and so on).",
    ),
    (
        exceptions.ModelRequestRejectedError,
        FailureCode.PROVIDER_REJECTED,
        "The provider rejected the request: check the step's output_schema, max_output_tokens and model.",
    ),
)
_TOO_LARGE = 413
_TEMPORARY = frozenset({408, 409, 425, 429})  # temporary errors, together with all codes from 500
_NO_OVERFLOW = _TEMPORARY | {401, 402, 403, 404}  # never an overflow, whatever the message says
_NOT_SENT = frozenset({"pool", "connect"})


_MESSAGE_FIELDS = ("error", "message", "detail", "errors", "msg")  # fields of an error body that contain the message
_MIN_KEY_LENGTH = 8  # shorter keys hide nothing, and would match ordinary words


def message_of(error: Exception) -> str:
    """Return the message of a provider or its library, shortened and without our API keys."""
    body = getattr(error, "body", None)
    return _sanitized(_message_of(body) if body else str(error))


def _sanitized(text: str) -> str:
    """Return a text shortened and without our API keys. An HTML page is only named."""
    if is_html(text):
        return "a page of HTML"
    for name, value in os.environ.items():
        if name.endswith("_API_KEY") and len(value) >= _MIN_KEY_LENGTH:
            text = text.replace(value, f"[{name}]")
    return text if len(text) <= _MAX_MESSAGE else f"{text[: _MAX_MESSAGE - 1]}…"


def _message_of(body: object) -> str:
    """Return the message in an error body; the whole body if it has no message."""
    return _find_message(body) or json.dumps(body, ensure_ascii=False, default=str)


def _with_names(body: object) -> str:
    """Return the message in an error body, with type and code. Other fields may quote the prompt."""
    inner = body.get("error") if isinstance(body, dict) else None
    names = [
        str(holder.get(name))
        for holder in (body, inner)
        if isinstance(holder, dict)
        for name in ("type", "code", "status")
    ]
    return " ".join([_message_of(body), *names])


def _find_message(body: object, levels: int = 6) -> str:
    if isinstance(body, str) or not levels:
        return body.strip() if isinstance(body, str) else ""
    if isinstance(body, list):
        return " ".join(filter(None, (_find_message(each, levels - 1) for each in body)))
    if not isinstance(body, dict):
        return ""
    return next(filter(None, (_find_message(body.get(name), levels - 1) for name in _MESSAGE_FIELDS)), "")


def timeout_error(model: str, seconds: float) -> ModelError:
    """Return the error of a call that exceeded its time limit."""
    message = f"{model} did not reply within {seconds} s."
    return ModelError(FailureCode.TIMED_OUT, message, transient=True, cut_off=True)


def first_token_timeout(model: str, seconds: float) -> ModelError:
    """Return the error of a call whose reply did not begin in time."""
    message = f"{model} did not begin to reply within {seconds:g} s (MODEL_FIRST_TOKEN_SECONDS)."
    return ModelError(FailureCode.TIMED_OUT, message, transient=True, cut_off=True)


def unreadable_reply(model: str, error: Exception) -> ModelError:
    """Return the error of a call whose reply cannot be parsed, with what was received and its content type."""
    transcript = current()
    failure = transcript.failure
    text = message_of(error) if failure is None else _sanitized(_message_of(failure))
    kind = f" ({transcript.content_type})" if transcript.content_type else ""
    message = sentence(f"{model} sent an unreadable reply{kind}: {text or type(error).__name__}")
    if failure is not None and overflows(_with_names(failure)):
        return ModelError(FailureCode.CONTEXT_TOO_LONG, f"{message} {_PERMANENT[0][2]}", cut_off=True)
    return ModelError(FailureCode.PROVIDER_UNAVAILABLE, message, transient=True, cut_off=True)


def truncated_stream(model: str) -> ModelError:
    """Return the error of a stream that stopped without an end, so that its reply may be incomplete."""
    if current().failure is not None:  # the provider has sent a reason
        return unreadable_reply(model, EOFError())
    message = f"{model} stopped in the middle of its reply."
    return ModelError(FailureCode.PROVIDER_UNAVAILABLE, message, transient=True, cut_off=True)


def failure_of(model: str, error: exceptions.ModelAPIError) -> ModelError:
    """Return the model error for a provider's error."""
    if isinstance(error, exceptions.ModelTimeoutError | exceptions.ModelRequestTimeout):
        return ModelError(
            FailureCode.TIMED_OUT, _message(model, error), transient=True, cut_off=_may_have_arrived(error)
        )
    if isinstance(error, exceptions.ModelConnectionError):
        message = sentence(f"{model} could not be reached: {message_of(error)}")
        return ModelError(FailureCode.PROVIDER_UNAVAILABLE, message, transient=True, cut_off=_may_have_arrived(error))
    if (permanent := _permanent(error)) is not None:
        code, advice = permanent
        return ModelError(code, f"{_message(model, error)} {advice}", cut_off=error.in_stream)
    if not isinstance(error, exceptions.ModelHTTPError):
        return unreadable_reply(model, error)
    return ModelError(
        FailureCode.PROVIDER_UNAVAILABLE,
        _message(model, error),
        transient=True,
        cut_off=error.in_stream,  # the reply had begun, and may be charged
        retry_after=_retry_after(error),
    )


def _permanent(error: exceptions.ModelAPIError) -> tuple[FailureCode, str] | None:
    if _is_context_overflow(error):
        return _PERMANENT[0][1:]
    found = next(((code, advice) for kind, code, advice in _PERMANENT[1:] if isinstance(error, kind)), None)
    if found is None and isinstance(error, exceptions.ModelHTTPError):
        if error.status_code == _TOO_LARGE:
            return _PERMANENT[0][1:]
        if error.status_code < 500 and error.status_code not in _TEMPORARY:
            return _PERMANENT[-1][1:]
    return found


def _is_context_overflow(error: exceptions.ModelAPIError) -> bool:
    """Return whether the prompt is too long, by the provider's message.

    The library's own detection is less accurate.
    """
    if getattr(error, "status_code", None) in _NO_OVERFLOW:
        return False
    message = _with_names(error.body) if error.body else str(error)
    return overflows(f"{message} {error.provider_error_code} {error.provider_error_type}")


def _may_have_arrived(error: exceptions.ModelAPIError) -> bool:
    """Return whether the request may have reached the provider, which may have charged for it."""
    return getattr(error, "phase", None) not in _NOT_SENT


def _retry_after(error: exceptions.ModelHTTPError) -> float | None:
    """Return the delay that the provider requests: `retry-after-ms`, or `Retry-After` as a number or a date."""
    headers = error.headers or {}
    if "retry-after-ms" not in headers and (until := _date(headers.get("retry-after", ""))) is not None:
        # The library compares the date with this machine's clock, which may be wrong; the provider's clock counts.
        now = database_now()
        provider_now = _date(headers.get("date", "")) or now
        return max(0.0, (until - (provider_now if abs(provider_now - now) < MAX_CLOCK_SKEW else now)).total_seconds())
    if error.retry_after is not None:
        return error.retry_after
    try:  # some send fractions of a second, which the standard does not permit
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _date(text: str) -> datetime | None:
    """Return the time of an HTTP-date (RFC 9110, 5.6.7), None if it is invalid. Without a time zone it is UTC."""
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def _message(model: str, error: exceptions.ModelAPIError) -> str:
    status = getattr(error, "status_code", None)
    status_text = f" (HTTP {status})" if status else ""
    event = "stopped in the middle of its reply" if error.in_stream else "could not be called"
    return sentence(f"{model} {event}{status_text}: {message_of(error)}")
