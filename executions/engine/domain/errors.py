"""Anticipated failures of the engine, as subclasses of those in `common/errors.py`.

DomainError
├── Conflict
│   ├── IllegalTransition
│   ├── NotEnded
│   └── NotWaiting
├── Forbidden
│   └── MayNotVote           the user is no approver of the document
├── Invalid
│   ├── InvalidAnswers
│   └── UnpricedModel
├── Unavailable
│   └── DatabaseUnavailable  the database cannot be reached; the outcome of the write is unknown
├── BudgetExceeded           the scope has no budget left
├── StaleFencingToken        another worker has claimed the execution
├── AlreadyClaimed           another worker runs the execution
└── ModelError               the model gave no usable reply
    └── RateLimited          the rate limiter grants no permit soon enough
        └── ScriptedWait     the script of a dry run delays the call
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from common.errors import Conflict, DomainError, FieldError, Forbidden, Invalid, Unavailable
from common.listings import listed
from executions.engine.domain.states import FailureCode


def unknown_step_message(step_id: str, known: Iterable[str]) -> str:
    """Return the error text for an unknown step, with the known steps."""
    return f"This execution has no step {step_id!r}. Its steps are: {listed([*known])}."


class IllegalTransition(Conflict):
    """The transition table does not contain this move."""

    code = "illegal-transition"

    def __init__(self, what: str, *, current: str, wanted: str) -> None:
        super().__init__(f"{what} is {current}; it cannot become {wanted}.", current=current, wanted=wanted)


class NotEnded(Conflict):
    """The execution has not ended, so its contents cannot be erased."""

    code = "not-ended"
    sentence = "The execution has not ended. Cancel it first, or wait for its end."


class NotWaiting(Conflict):
    """The step asks no questions, or no longer does."""

    code = "not-waiting"


class MayNotVote(Forbidden):
    """The step's definition, or its assignment, gives the decision about this document to other users."""

    code = "may-not-vote"


class InvalidAnswers(Invalid):
    """Answers that do not fit their questions; the questions stay open."""

    code = "invalid-answers"


class UnpricedModel(Invalid):
    """A step uses a model without a known price, and the settings do not allow that."""

    code = "unpriced-model"

    def __init__(self, errors: list[FieldError]) -> None:
        first = errors[0].detail
        super().__init__(f"{first} Give it a price in the admin, or choose another model.", errors)


class BudgetExceeded(DomainError):
    """The scope has used up its budget; no execution starts in it."""

    code = "budget-exceeded"
    sentence = "This scope has spent or reserved its whole budget for this month."


class StaleFencingToken(DomainError):
    """The worker's fencing token is stale: another worker has claimed the execution, or the row is newer.

    The worker stops and writes nothing more.
    """

    code = "superseded"

    def __init__(self, execution_id: UUID, *, fencing_token: int | None) -> None:
        super().__init__(
            "Another worker has claimed this execution.", execution_id=str(execution_id), fencing_token=fencing_token
        )


class AlreadyClaimed(DomainError):
    """Another worker runs this execution, and this worker was not to take it over."""

    code = "occupied"

    def __init__(self, execution_id: UUID) -> None:
        super().__init__("Another worker runs this execution.", execution_id=str(execution_id))


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached. The worker stops the run; the recovery duty starts it again later."""

    sentence = "The database is not reachable now; try again."


class ModelError(DomainError):
    """The model could not be called, or its reply cannot be used or repaired.

    `transient`: the same request may succeed later, after `retry_after` seconds if the provider named a time.
    `cut_off`: the request was sent and its outcome is unknown, so it may have cost something.
    """

    code = "model-error"

    def __init__(
        self,
        failure_code: FailureCode,
        detail: str,
        *,
        transient: bool = False,
        retry_after: float | None = None,
        cut_off: bool = False,
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.failure_code = failure_code
        self.transient = transient
        self.cut_off = cut_off


class RateLimited(ModelError):
    """The rate limiter grants no permit soon enough. Nothing was sent, and nothing has failed."""

    code = "not-its-turn"
    reason = "it had no rate limit permit"

    def __init__(self, model: str, *, seconds: float) -> None:
        detail = f"The rate limit of {model} allows this call in {seconds:.0f} s."
        super().__init__(FailureCode.PROVIDER_UNAVAILABLE, detail, transient=True, retry_after=seconds)


class ScriptedWait(RateLimited):
    """A dry run's script gives this call a longer latency than a worker waits for. Nothing was sent or has failed."""

    code = "scripted-wait"
    reason = "the script of this dry run delays it"
