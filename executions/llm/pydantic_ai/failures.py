"""What a provider's failure means: why, whether asking again may help, when, and whether it may have cost something."""

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

MAX_CLOCK_SKEW = timedelta(days=1)  # that a provider's clock is believed to be off

_SAID = 500  # characters of what a provider says that are kept

#: Sending the same again would not help; the first that fits counts.
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
        "Check the provider's key, its permissions, and that it may use this model.",
    ),
    (
        exceptions.ModelNotFoundError,
        FailureCode.PROVIDER_REJECTED,
        "Check the model's name: the step's model, or what its alias stands for (MODEL_STANDARD and so on).",
    ),
    (
        exceptions.ModelRequestRejectedError,
        FailureCode.PROVIDER_REJECTED,
        "The request itself was refused: look at the step's output_schema, max_output_tokens and model.",
    ),
)
_TOO_LARGE = 413
_PASSING = frozenset({408, 409, 425, 429})  # with everything from 500 on
_NO_OVERFLOW = _PASSING | {401, 402, 403, 404}  # whatever else they say
_NOT_SENT = frozenset({"pool", "connect"})


_SENTENCES = ("error", "message", "detail", "errors", "msg")  # where a body has the sentence for people
_SHORTEST_KEY = 8  # characters; what is shorter hides nothing, and would be found in ordinary words


def message_of(error: Exception) -> str:
    """Return what a provider, or its library, says: without our keys, as far as it is kept."""
    body = getattr(error, "body", None)
    return _legible(_told(body) if body else str(error))


def _legible(text: str) -> str:
    """Return words for people: without our keys, as far as they are kept. A page is named, and not shown."""
    if is_html(text):
        return "a page of HTML"
    for name, value in os.environ.items():
        if name.endswith("_API_KEY") and len(value) >= _SHORTEST_KEY:
            text = text.replace(value, f"[{name}]")
    return text if len(text) <= _SAID else f"{text[: _SAID - 1]}…"


def _told(body: object) -> str:
    """Return the sentence for people in the body of an error; all of a body that has none."""
    return _sentence_in(body) or json.dumps(body, ensure_ascii=False, default=str)


def _with_names(body: object) -> str:
    """Return the sentence in the body of an error, with its type and code. Some bodies quote the prompt as well."""
    inner = body.get("error") if isinstance(body, dict) else None
    names = [
        str(each.get(name)) for each in (body, inner) if isinstance(each, dict) for name in ("type", "code", "status")
    ]
    return " ".join([_told(body), *names])


def _sentence_in(body: object, levels: int = 6) -> str:
    if isinstance(body, str) or not levels:
        return body.strip() if isinstance(body, str) else ""
    if isinstance(body, list):
        return " ".join(filter(None, (_sentence_in(each, levels - 1) for each in body)))
    if not isinstance(body, dict):
        return ""
    return next(filter(None, (_sentence_in(body.get(name), levels - 1) for name in _SENTENCES)), "")


def timeout_error(model: str, seconds: float) -> ModelError:
    """Return the failure of a call that was given up after so many seconds."""
    message = f"{model} did not answer within {seconds} s."
    return ModelError(FailureCode.TIMED_OUT, message, transient=True, cut_off=True)


def first_token_timeout(model: str, seconds: float) -> ModelError:
    """Return the failure of a call whose answer has not even begun after so many seconds."""
    message = f"{model} did not begin to answer within {seconds:g} s (MODEL_FIRST_TOKEN_SECONDS)."
    return ModelError(FailureCode.TIMED_OUT, message, transient=True, cut_off=True)


def unreadable_reply(model: str, error: Exception) -> ModelError:
    """Return the failure of a call whose answer cannot be read. What came instead is shown, with its type."""
    transcript = current()
    said = transcript.failure
    words = message_of(error) if said is None else _legible(_told(said))
    kind = f" ({transcript.content_type})" if transcript.content_type else ""
    message = sentence(f"{model} answered something that is no answer{kind}: {words or type(error).__name__}")
    if said is not None and overflows(_with_names(said)):
        return ModelError(FailureCode.CONTEXT_TOO_LONG, f"{message} {_PERMANENT[0][2]}", cut_off=True)
    return ModelError(FailureCode.PROVIDER_UNAVAILABLE, message, transient=True, cut_off=True)


def truncated_stream(model: str) -> ModelError:
    """Return the failure of a call whose answer stopped without an end: nobody knows what is missing."""
    if current().failure is not None:  # it has said why
        return unreadable_reply(model, EOFError())
    message = f"{model} broke off in the middle of its answer."
    return ModelError(FailureCode.PROVIDER_UNAVAILABLE, message, transient=True, cut_off=True)


def failure_of(model: str, error: exceptions.ModelAPIError) -> ModelError:
    """Return what a provider's error means."""
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
        cut_off=error.in_stream,  # it had begun to answer, and may charge for that
        retry_after=_retry_after(error),
    )


def _permanent(error: exceptions.ModelAPIError) -> tuple[FailureCode, str] | None:
    if _has_no_room(error):
        return _PERMANENT[0][1:]
    found = next(((code, advice) for kind, code, advice in _PERMANENT[1:] if isinstance(error, kind)), None)
    if found is None and isinstance(error, exceptions.ModelHTTPError):
        if error.status_code == _TOO_LARGE:
            return _PERMANENT[0][1:]
        if error.status_code < 500 and error.status_code not in _PASSING:
            return _PERMANENT[-1][1:]
    return found


def _has_no_room(error: exceptions.ModelAPIError) -> bool:
    """Whether the prompt is too long, by the words of the provider. Its library knows some of them, and too many."""
    if getattr(error, "status_code", None) in _NO_OVERFLOW:
        return False
    said = _with_names(error.body) if error.body else str(error)
    return overflows(f"{said} {error.provider_error_code} {error.provider_error_type}")


def _may_have_arrived(error: exceptions.ModelAPIError) -> bool:
    """Whether the request may have reached the provider, which may have charged for it."""
    return getattr(error, "phase", None) not in _NOT_SENT


def _retry_after(error: exceptions.ModelHTTPError) -> float | None:
    """Return the seconds that the provider asked for: `retry-after-ms`, or `Retry-After` as a number or a date."""
    headers = error.headers or {}
    if "retry-after-ms" not in headers and (until := _date(headers.get("retry-after", ""))) is not None:
        # Its library compares the date with this machine's clock. The provider's own counts; ours may be wrong.
        now = database_now()
        theirs = _date(headers.get("date", "")) or now
        return max(0.0, (until - (theirs if abs(theirs - now) < MAX_CLOCK_SKEW else now)).total_seconds())
    if error.retry_after is not None:
        return error.retry_after
    try:  # some send fractions of a second, which the standard does not know
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _date(text: str) -> datetime | None:
    """Return the moment of an HTTP-date (RFC 9110, 5.6.7); None: it is none. One without a zone is in UTC."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _message(model: str, error: exceptions.ModelAPIError) -> str:
    status = getattr(error, "status_code", None)
    said = f" (HTTP {status})" if status else ""
    done = "broke off its answer" if error.in_stream else "could not be asked"
    return sentence(f"{model} {done}{said}: {message_of(error)}")
