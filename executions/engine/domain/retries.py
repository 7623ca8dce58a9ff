"""What follows from a call that failed: another try, when, and when to give up."""

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

#: No provider is obeyed for longer, in seconds: a day. A header may say anything.
MAX_RETRY_AFTER_SECONDS = 86_400.0

#: How the error of a call begins that was announced and never sent. It cost nothing, and counts for nothing.
NOT_SENT = "It was not sent"

#: Tries that a step without `max_tries` makes of each model before its patience, or a stand-in, counts.
MIN_TRIES = 5
#: Between two tries after those, in seconds, whatever the step says: it bounds the calls of a patient step.
MIN_RETRY_SECONDS = 1.0
_MAX_DOUBLINGS = 64  # more of them are no number any more

_ADVICE = {
    FailureCode.TIMED_OUT: "Retry the execution later, or raise the step's timeout_seconds or {setting}.",
    FailureCode.PROVIDER_UNAVAILABLE: (
        "Look at the provider's status page and retry the execution later, or raise the step's {setting}."
    ),
}


class RandomSource(Protocol):
    """Where randomness comes from; a `random.Random` is one."""

    def random(self) -> float:
        """Return a number in [0, 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """The tries of one attempt that have failed."""

    of_model: int = 0  # with the very request that is sent now
    since: datetime | None = None  # when the first of them failed, whatever its model; None: none has failed

    def with_failure(self, call: Call) -> Tries:
        """Return the tries with one more, which has just failed."""
        return Tries(of_model=self.of_model + 1, since=self.since or call.finished_at)

    def seconds(self, call: Call) -> float:
        """Return the time from the first failure to that of a call."""
        if self.since is None or call.finished_at is None:
            return 0.0
        return max(0.0, (call.finished_at - self.since).total_seconds())


NO_TRIES = Tries()


def failed_tries(calls: Iterable[Call], *, request_hash: str) -> Tries:
    """Return the tries among an attempt's calls that failed by themselves, not because a worker stopped or died."""
    failed = [
        call
        for call in calls
        if call.status in {CallStatus.FAILED, CallStatus.UNKNOWN} and bool(call.error) and not was_never_sent(call)
    ]
    moments = (call.finished_at for call in failed if call.finished_at is not None)
    of_model = sum(call.request_hash == request_hash for call in failed)
    return Tries(of_model=of_model, since=min(moments, default=None))


def was_never_sent(call: Call) -> bool:
    """Whether a call was announced and never sent."""
    return call.status is CallStatus.FAILED and call.error.startswith(NOT_SENT)


def has_waited(call: Call) -> bool:
    """Whether a call was never sent, as the script of a dry run had its step wait first."""
    return was_never_sent(call) and ScriptedWait.reason in call.error


def patience_of(policy: RetryPolicy, default_seconds: float) -> float:
    """Return for how many seconds after its first failure a step goes on trying; infinity: `max_tries` alone counts."""
    if policy.patience_seconds is not None:
        return policy.patience_seconds
    return default_seconds if policy.max_tries is None else math.inf


def prefers_another(policy: RetryPolicy, *, tries: int) -> bool:
    """Return whether a step that has a stand-in model asks it now, rather than the same model once more."""
    return policy.max_tries is None and tries >= MIN_TRIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """When a step tries again."""

    policy: RetryPolicy
    patience_seconds: float  # see `patience_of`
    chance: RandomSource  # decides within the bounds

    def seconds_to_wait(self, error: ModelError, *, tries: int, failing_seconds: float) -> float | None:
        """Return how long to wait before the next try, None to give up.

        Full jitter: anything between nothing and `base_seconds` doubled with every failed try, up to `cap_seconds`.
        The last try is made as the patience runs out. The provider's `retry_after` is never undercut, and overshot by
        up to `base_seconds`, so that those who were sent away together do not come back together.

        Args:
            error: What the last try came to.
            tries: Tries that have failed, 1 after the first.
            failing_seconds: Time since the first of them.
        """
        policy = self.policy
        left = self.patience_seconds - failing_seconds
        if not error.transient or self._has_enough(tries, left):
            return None
        share = self.chance.random()
        backoff = share * min(policy.cap_seconds, policy.base_seconds * 2.0 ** min(tries - 1, _MAX_DOUBLINGS))
        if tries >= MIN_TRIES:
            backoff = max(min(backoff, left), MIN_RETRY_SECONDS if policy.max_tries is None else 0.0)
        if error.retry_after is None:
            return backoff
        return max(backoff, min(error.retry_after, MAX_RETRY_AFTER_SECONDS) + share * policy.base_seconds)

    def _has_enough(self, tries: int, left: float) -> bool:
        most = self.policy.max_tries
        if most is not None and tries >= most:
            return True
        return tries >= MIN_TRIES and left <= 0


def sentence(text: str) -> str:
    """Return a text that another sentence may follow."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…", '."', ".'")) else f"{text}."


def given_up(error: ModelError, message: str, *, tries: int, failing_seconds: float, policy: RetryPolicy) -> Failure:
    """Return why a step fails after its last try, and what to do about it."""
    if not error.transient:
        return Failure(code=error.failure_code, message=message)
    times = "once" if tries == 1 else f"{tries} times in {failing_seconds:.0f} s"
    by_number = policy.max_tries is not None and tries >= policy.max_tries
    setting = "retries.max_tries" if by_number else "retries.patience_seconds"
    advice = _ADVICE.get(error.failure_code, _ADVICE[FailureCode.PROVIDER_UNAVAILABLE]).format(setting=setting)
    return Failure(code=error.failure_code, message=f"Tried {times}, the last time: {sentence(message)} {advice}")
