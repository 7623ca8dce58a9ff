"""What a provider's failure means: why, whether asking again may help, when, and whether it may have cost something."""

from __future__ import annotations

import json
import os

from pydantic_ai import exceptions

from executions.engine.errors import ModelError
from executions.engine.states import FailureCode

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
_NOT_SENT = frozenset({"pool", "connect"})


_SHORTEST_KEY = 8  # characters; what is shorter hides nothing, and would be found in ordinary words


def shown(error: Exception) -> str:
    """Return what a provider, or its library, says: without our keys, as far as it is kept."""
    body = getattr(error, "body", None)
    text = _told(body) if body else str(error)
    for name, value in os.environ.items():
        if name.endswith("_API_KEY") and len(value) >= _SHORTEST_KEY:
            text = text.replace(value, f"[{name}]")
    return text[:_SAID]


def _told(body: object) -> str:
    """Return the sentence for people in the body of an error; all of a body that has none."""
    inner = body.get("error", body) if isinstance(body, dict) else body
    message = inner.get("message") if isinstance(inner, dict) else inner
    return message if isinstance(message, str) and message else json.dumps(body, ensure_ascii=False, default=str)


def late(model: str, seconds: float) -> ModelError:
    """Return the failure of a call that was given up after so many seconds."""
    message = f"{model} did not answer within {seconds} s."
    return ModelError(FailureCode.TIMED_OUT, message, transient=True, cut_off=True)


def silent(model: str, seconds: float) -> ModelError:
    """Return the failure of a call whose answer has not even begun after so many seconds."""
    message = f"{model} did not begin to answer within {seconds:g} s (MODEL_FIRST_TOKEN_SECONDS)."
    return ModelError(FailureCode.TIMED_OUT, message, transient=True, cut_off=True)


def gibberish(model: str, error: Exception) -> ModelError:
    """Return the failure of a call whose answer cannot be read."""
    message = f"{model} answered something that is no answer: {shown(error) or type(error).__name__}"
    return ModelError(FailureCode.PROVIDER_UNAVAILABLE, message, transient=True, cut_off=True)


def broken_off(model: str) -> ModelError:
    """Return the failure of a call whose answer stopped without an end: nobody knows what is missing."""
    message = f"{model} broke off in the middle of its answer."
    return ModelError(FailureCode.PROVIDER_UNAVAILABLE, message, transient=True, cut_off=True)


def failure_of(model: str, error: exceptions.ModelAPIError) -> ModelError:
    """Return what a provider's error means."""
    if isinstance(error, exceptions.ModelTimeoutError | exceptions.ModelRequestTimeout):
        return ModelError(
            FailureCode.TIMED_OUT, _message(model, error), transient=True, cut_off=_may_have_arrived(error)
        )
    if isinstance(error, exceptions.ModelConnectionError):
        message = f"{model} could not be reached: {shown(error)}"
        return ModelError(FailureCode.PROVIDER_UNAVAILABLE, message, transient=True, cut_off=_may_have_arrived(error))
    if (permanent := _permanent(error)) is not None:
        code, advice = permanent
        return ModelError(code, f"{_message(model, error)} {advice}", cut_off=error.in_stream)
    if not isinstance(error, exceptions.ModelHTTPError):
        return gibberish(model, error)
    return ModelError(
        FailureCode.PROVIDER_UNAVAILABLE,
        _message(model, error),
        transient=True,
        cut_off=error.in_stream,  # it had begun to answer, and may charge for that
        retry_after=_retry_after(error),
    )


def _permanent(error: exceptions.ModelAPIError) -> tuple[FailureCode, str] | None:
    found = next(((code, advice) for kind, code, advice in _PERMANENT if isinstance(error, kind)), None)
    if found is None and isinstance(error, exceptions.ModelHTTPError):
        if error.status_code == _TOO_LARGE:
            return _PERMANENT[0][1:]
        if error.status_code < 500 and error.status_code not in _PASSING:
            return _PERMANENT[-1][1:]
    return found


def _may_have_arrived(error: exceptions.ModelAPIError) -> bool:
    """Whether the request may have reached the provider, which may have charged for it."""
    return getattr(error, "phase", None) not in _NOT_SENT


def _retry_after(error: exceptions.ModelHTTPError) -> float | None:
    """Return the seconds that the provider asked for: `retry-after-ms`, or `Retry-After` as a number or a date."""
    if error.retry_after is not None:
        return error.retry_after
    try:  # some send fractions of a second, which the standard does not know
        seconds = float((error.headers or {}).get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _message(model: str, error: exceptions.ModelAPIError) -> str:
    status = getattr(error, "status_code", None)
    said = f" (HTTP {status})" if status else ""
    done = "broke off its answer" if error.in_stream else "could not be asked"
    return f"{model} {done}{said}: {shown(error)}"
