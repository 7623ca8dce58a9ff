"""What follows from a call that failed: another try, when, and when to give up."""

from __future__ import annotations

from typing import Protocol

from executions.engine.calls import Call
from executions.engine.errors import ModelError, ScriptedWait
from executions.engine.execution import Failure
from executions.engine.states import CallStatus, FailureCode
from workflows.definition import RetryPolicy

#: No provider is obeyed for longer, in seconds: a day. A header may say anything.
LONGEST_SECONDS = 86_400.0

#: How the error of a call begins that was announced and never sent. It cost nothing, and counts for nothing.
NOT_SENT = "It was not sent"

_ADVICE = {
    FailureCode.TIMED_OUT: "Retry the execution later, or raise the step's timeout_seconds or retries.max_tries.",
    FailureCode.PROVIDER_UNAVAILABLE: (
        "Look at the provider's status page and retry the execution later, or raise the step's retries.max_tries."
    ),
}


class Chance(Protocol):
    """Where randomness comes from; a `random.Random` is one."""

    def random(self) -> float:
        """Return a number in [0, 1)."""


def failed_tries(calls: list[Call]) -> int:
    """Return how many of an attempt's calls failed by themselves, and not because a worker stopped or died."""
    return sum(
        call.status in {CallStatus.FAILED, CallStatus.UNKNOWN} and bool(call.error) and not was_withdrawn(call)
        for call in calls
    )


def was_withdrawn(call: Call) -> bool:
    """Whether a call was announced and never sent."""
    return call.status is CallStatus.FAILED and call.error.startswith(NOT_SENT)


def has_waited(call: Call) -> bool:
    """Whether a call was never sent, as the script of a dry run had its step wait first."""
    return was_withdrawn(call) and ScriptedWait.reason in call.error


def seconds_to_wait(policy: RetryPolicy, error: ModelError, *, tries: int, chance: Chance) -> float | None:
    """Return how long to wait before the next try, None to give up.

    Full jitter: anything between nothing and `base_seconds` doubled with every failed try, up to `cap_seconds`. The
    provider's `retry_after` is never undercut, and overshot by up to `base_seconds`, so that those who were sent away
    together do not come back together.

    Args:
        policy: What the step allows.
        error: What the last try came to.
        tries: Tries that have failed, 1 after the first.
        chance: Decides within the bounds.
    """
    if not error.transient or tries >= policy.max_tries:
        return None
    share = chance.random()
    backoff = share * min(policy.cap_seconds, policy.base_seconds * 2.0 ** (tries - 1))
    if error.retry_after is None:
        return backoff
    return max(backoff, min(error.retry_after, LONGEST_SECONDS) + share * policy.base_seconds)


def sentence(text: str) -> str:
    """Return a text that another sentence may follow."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…", '."', ".'")) else f"{text}."


def given_up(error: ModelError, message: str, *, tries: int) -> Failure:
    """Return why a step fails after its last try, and what to do about it."""
    if not error.transient:
        return Failure(code=error.failure_code, message=message)
    times = "once" if tries == 1 else f"{tries} times"
    advice = _ADVICE.get(error.failure_code, _ADVICE[FailureCode.PROVIDER_UNAVAILABLE])
    return Failure(code=error.failure_code, message=f"Tried {times}, the last time: {sentence(message)} {advice}")
