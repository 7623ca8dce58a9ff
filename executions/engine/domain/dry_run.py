"""Dry runs: the real step graph with simulated models, and the script of the failures to simulate."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from executions.engine.domain.clarification import QuestionDraft
from executions.engine.domain.states import FailureCode

#: Failures that a script can prescribe for a call.
Fault = Literal["provider_unavailable", "timed_out", "provider_rejected", "context_too_long", "model_refused"]
ScriptedVerdict = Literal["satisfied", "needs_revision", "failed"]
TRANSIENT = frozenset({FailureCode.PROVIDER_UNAVAILABLE, FailureCode.TIMED_OUT})
FATAL: frozenset[Fault] = frozenset({"provider_rejected", "model_refused"})
MAX_LATENCY_SECONDS = 60.0
MAX_NAME = 200  # characters of a step's id


class StepScript(BaseModel):
    """What is simulated in one step, for each of its items. After the scripted calls everything succeeds.

    The number of a call within the step decides which entry applies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fail: tuple[Fault, ...] = Field(default=(), max_length=20, description="How its first calls fail.")
    ask: tuple[QuestionDraft, ...] = Field(default=(), max_length=20, description="What it asks before it writes.")
    invalid: int = Field(
        strict=True, default=0, ge=0, le=10, description="Outputs that are not valid, before one that is."
    )
    verdicts: tuple[ScriptedVerdict, ...] = Field(
        default=(), max_length=10, description="Of its reviews, in their order."
    )
    latency_seconds: float | None = Field(strict=True, default=None, ge=0, le=MAX_LATENCY_SECONDS, allow_inf_nan=False)

    @property
    def first_written(self) -> int:
        """The first attempt that produces output: after one that failed permanently, and after one that asked."""
        return 1 + self._fails_for_good + bool(self.ask)

    @property
    def _fails_for_good(self) -> bool:
        """Whether the first attempt ends with these failures. A prompt that is too long is shortened once."""
        return not FATAL.isdisjoint(self.fail) or self.fail.count("context_too_long") > 1

    @property
    def first_valid(self) -> int:
        """The first attempt with valid output."""
        return self.first_written + self.invalid


class DryRunScript(BaseModel):
    """What is simulated in a dry run. Steps without a script succeed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: dict[str, StepScript] = Field(default_factory=dict, max_length=200)
    latency_seconds: float | None = Field(strict=True, default=None, ge=0, le=MAX_LATENCY_SECONDS, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _names_are_short(cls, value: object) -> object:
        """Reject long step names before their values are validated: each error there would repeat the name."""
        steps = value.get("steps") if isinstance(value, dict) else None
        if isinstance(steps, dict) and any(len(str(name)) > MAX_NAME for name in steps):
            raise ValueError(f"The name of a step has at most {MAX_NAME} characters.")
        return value

    def of(self, step_id: str) -> StepScript:
        """Return the script of a step, or of the step for an item."""
        found = self.steps.get(step_id.partition("@")[0], StepScript())
        seconds = self.latency_seconds if found.latency_seconds is None else found.latency_seconds
        return found.model_copy(update={"latency_seconds": seconds})
