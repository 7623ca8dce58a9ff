"""The retry policy of model calls: whether to try again, when, and when to give up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from executions.engine.domain.calls import Call
from executions.engine.domain.errors import ModelError, ScriptedWait
from executions.engine.domain.execution import Failure
from executions.engine.domain.states import CallStatus, FailureCode
from workflows.definitions.definition import RetryPolicy

#: Upper bound for a provider's `retry_after`, in seconds (one day), because a header may contain any value.
MAX_RETRY_AFTER_SECONDS = 86_400.0

#: Prefix of the error of a call that was recorded and never sent. Such a call cost nothing and counts for nothing.
NOT_SENT = "It was not sent"

#: Tries per model of a step without `max_tries`, before its patience or its fallback model is considered.
MIN_TRIES = 5
#: Minimum delay in seconds between later tries. It bounds the number of calls of a step with long patience.
MIN_RETRY_SECONDS = 1.0
_MAX_DOUBLINGS = 64  # 2.0 ** 1024 overflows

_ADVICE = {
    FailureCode.TIMED_OUT: "Retry the execution later, or raise the step's timeout_seconds or {setting}.",
    FailureCode.PROVIDER_UNAVAILABLE: (
        "Look at the provider's status page and retry the execution later, or raise the step's {setting}."
    ),
}


class RandomSource(Protocol):
    """A source of randomness; `random.Random` is one."""

    def random(self) -> float:
        """Return a number in [0, 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """The failed tries of one attempt."""

    of_model: int = 0  # failed tries of exactly the current request
    since: datetime | None = None  # when the first try failed, with any model; None: none has failed

    def with_failure(self, call: Call) -> Tries:
        """Return the tries plus this one, which has just failed."""
        return Tries(of_model=self.of_model + 1, since=self.since or call.finished_at)

    def seconds(self, call: Call) -> float:
        """Return the time from the first failure to the end of this call."""
        if self.since is None or call.finished_at is None:
            return 0.0
        return max(0.0, (call.finished_at - self.since).total_seconds())


NO_TRIES = Tries()


def failed_tries(calls: Iterable[Call], *, request_hash: str) -> Tries:
    """Return the tries among an attempt's calls that failed, without those that only lost their worker."""
    failed = [
        call
        for call in calls
        if call.status in {CallStatus.FAILED, CallStatus.UNKNOWN} and bool(call.error) and not was_never_sent(call)
    ]
    moments = (call.finished_at for call in failed if call.finished_at is not None)
    of_model = sum(call.request_hash == request_hash for call in failed)
    return Tries(of_model=of_model, since=min(moments, default=None))


def was_never_sent(call: Call) -> bool:
    """Return whether a call was recorded and never sent."""
    return call.status is CallStatus.FAILED and call.error.startswith(NOT_SENT)


def has_waited(call: Call) -> bool:
    """Return whether a call was not sent because the script of a dry run deferred its step."""
    return was_never_sent(call) and ScriptedWait.reason in call.error


def patience_of(policy: RetryPolicy, default_seconds: float) -> float:
    """Return how many seconds after the first failure a step gives up; infinity: only `max_tries` counts."""
    if policy.patience_seconds is not None:
        return policy.patience_seconds
    return default_seconds if policy.max_tries is None else math.inf


def prefers_another(policy: RetryPolicy, *, tries: int) -> bool:
    """Return whether a step now uses its fallback model instead of the same model again."""
    return policy.max_tries is None and tries >= MIN_TRIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Computes when a step tries again."""

    policy: RetryPolicy
    patience_seconds: float  # see `patience_of`
    chance: RandomSource  # decides within the bounds

    def seconds_to_wait(self, error: ModelError, *, tries: int, failing_seconds: float) -> float | None:
        """Return how long to wait before the next try, None to give up.

        Full jitter: a random delay from zero to `base_seconds` doubled per failed try, up to `cap_seconds`. The last
        try is made when the patience ends. The delay is at least the provider's `retry_after`, plus up to
        `base_seconds` at random, so that clients rejected at the same time do not return at the same time.

        Args:
            error: The error of the last try.
            tries: Number of failed tries, 1 after the first.
            failing_seconds: Time since the first failure.
        """
        policy = self.policy
        remaining = self.patience_seconds - failing_seconds
        if not error.transient or self._is_exhausted(tries, remaining):
            return None
        fraction = self.chance.random()
        backoff = fraction * min(policy.cap_seconds, policy.base_seconds * 2.0 ** min(tries - 1, _MAX_DOUBLINGS))
        if tries >= MIN_TRIES:
            backoff = max(min(backoff, remaining), MIN_RETRY_SECONDS if policy.max_tries is None else 0.0)
        if error.retry_after is None:
            return backoff
        return max(backoff, min(error.retry_after, MAX_RETRY_AFTER_SECONDS) + fraction * policy.base_seconds)

    def _is_exhausted(self, tries: int, remaining: float) -> bool:
        max_tries = self.policy.max_tries
        if max_tries is not None and tries >= max_tries:
            return True
        return tries >= MIN_TRIES and remaining <= 0


def sentence(text: str) -> str:
    """Return the text with a final full stop, so that another sentence may follow."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…", '."', ".'")) else f"{text}."


def given_up(error: ModelError, message: str, *, tries: int, failing_seconds: float, policy: RetryPolicy) -> Failure:
    """Return why a step fails after its last try, with advice."""
    if not error.transient:
        return Failure(code=error.failure_code, message=message)
    times = "once" if tries == 1 else f"{tries} times in {failing_seconds:.0f} s"
    is_limited_by_count = policy.max_tries is not None and tries >= policy.max_tries
    setting = "retries.max_tries" if is_limited_by_count else "retries.patience_seconds"
    advice = _ADVICE.get(error.failure_code, _ADVICE[FailureCode.PROVIDER_UNAVAILABLE]).format(setting=setting)
    return Failure(code=error.failure_code, message=f"Tried {times}, the last time: {sentence(message)} {advice}")
