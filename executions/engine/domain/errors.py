"""Anticipated failures, one small tree.

EngineError
├── NotFound            what was named does not exist (or may not be seen)
├── Conflict            the state does not allow it now
│   ├── IllegalTransition
│   ├── NotWaiting
│   └── VersionConflict
├── Invalid             what was asked for cannot be right; `errors` says where
│   ├── InvalidAnswers
│   └── UnpricedModel
├── StaleFencingToken   another worker has claimed the execution
├── DatabaseUnavailable the database is away; nothing is known to be stored
└── ModelError          the model gave no reply that could be used
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from pydantic import JsonValue

from common.field_error import FieldError
from common.listings import listed
from executions.engine.domain.states import FailureCode


class EngineError(Exception):
    """Base of every failure that the engine foresees. `code` is stable; `context` is safe to show."""

    code = "engine-error"

    def __init__(self, detail: str, **context: JsonValue) -> None:
        super().__init__(detail)
        self.context = context


class NotFound(EngineError):
    """There is no such thing, or none that the caller may see."""

    code = "not-found"


def unknown_step_message(step_id: str, known: Iterable[str]) -> str:
    """Return the sentence that an execution has no such step, with those that it has."""
    return f"This execution has no step {step_id!r}. Its steps are: {listed([*known])}."


class Conflict(EngineError):
    """The present state does not allow it."""

    code = "conflict"


class IllegalTransition(Conflict):
    """A move that is not in the table of transitions."""

    code = "illegal-transition"

    def __init__(self, what: str, *, current: str, wanted: str) -> None:
        super().__init__(f"{what} is {current}; it cannot become {wanted}.", current=current, wanted=wanted)


class NotWaiting(Conflict):
    """Answers for a step that asks nothing (any more)."""

    code = "not-waiting"


class VersionConflict(Conflict):
    """Somebody else changed it first; read it again."""

    code = "version-conflict"

    def __init__(self, what: str, *, expected: int | list[JsonValue]) -> None:
        super().__init__(f"{what} was changed by another client; read it again.", expected_version=expected)


class Invalid(EngineError):
    """Values that cannot be right; nothing was changed."""

    code = "invalid"

    def __init__(self, detail: str, errors: list[FieldError]) -> None:
        super().__init__(detail)
        self.errors = errors


class InvalidAnswers(Invalid):
    """Answers that do not fit their questions; the questions stay open."""

    code = "invalid-answers"


class UnpricedModel(Invalid):
    """A step asks a model whose price nobody knows, and that is not allowed here."""

    code = "unpriced-model"

    def __init__(self, errors: list[FieldError]) -> None:
        first = errors[0].detail
        super().__init__(f"{first} Give it a price in the admin, or choose another model.", errors)


class BudgetExceeded(EngineError):
    """The scope has spent what it may spend; nothing new starts in it."""

    code = "budget-exceeded"

    def __init__(self) -> None:
        super().__init__("This scope has spent or reserved its whole budget for this month.")


class StaleFencingToken(EngineError):
    """The execution is not its runner's any more: another one has it, or it is older than the runner knows it.

    The runner stops without a trace.
    """

    code = "superseded"

    def __init__(self, execution_id: UUID, *, fencing_token: int | None) -> None:
        super().__init__(
            "Another worker has claimed this execution.", execution_id=str(execution_id), fencing_token=fencing_token
        )


class AlreadyClaimed(EngineError):
    """Another runner has this execution, and whoever sees this was not to take it over."""

    code = "occupied"

    def __init__(self, execution_id: UUID) -> None:
        super().__init__("Another worker runs this execution.", execution_id=str(execution_id))


class DatabaseUnavailable(EngineError):
    """The database cannot be reached; whoever sees this stops, and the sweep starts it again later."""

    code = "unavailable"


class ModelError(EngineError):
    """The model could not be asked, or gave nothing that can be repaired.

    `transient`: the same request may succeed later, after `retry_after` seconds if the provider named a time.
    `cut_off`: the request was sent and nobody knows what became of it, so it may have cost something.
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
        super().__init__(detail)
        self.failure_code = failure_code
        self.transient = transient
        self.retry_after = retry_after
        self.cut_off = cut_off


class RateLimited(ModelError):
    """Others are to ask the model first, for longer than a call waits; nothing was sent, and nothing has failed."""

    code = "not-its-turn"
    reason = "it had no rate limit permit"

    def __init__(self, model: str, *, seconds: float) -> None:
        detail = f"The rate limit of {model} allows this call in {seconds:.0f} s."
        super().__init__(FailureCode.PROVIDER_UNAVAILABLE, detail, transient=True, retry_after=seconds)


class ScriptedWait(RateLimited):
    """The script of a dry run has this call take longer than a runner waits; nothing was sent, nothing has failed."""

    code = "scripted-wait"
    reason = "the script of this dry run delays it"
