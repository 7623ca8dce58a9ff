"""Dry runs: the real graph, every model of it played by the rehearsal, and what it shall do wrong."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from executions.engine.domain.clarification import QuestionDraft
from executions.engine.domain.states import FailureCode

#: What a call may be scripted to fail with.
Fault = Literal["provider_unavailable", "timed_out", "provider_rejected", "context_too_long", "model_refused"]
ScriptedVerdict = Literal["satisfied", "needs_revision", "failed"]
TRANSIENT = frozenset({FailureCode.PROVIDER_UNAVAILABLE, FailureCode.TIMED_OUT})
FATAL: frozenset[Fault] = frozenset({"provider_rejected", "model_refused"})
MAX_LATENCY_SECONDS = 60.0
MAX_NAME = 200  # characters of a step's id


class StepScript(BaseModel):
    """What happens in one step, for each of its items; then all is well. What a call does follows from its number."""

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
        """The attempt that first hands something in: after one that failed for good, and after one that asked."""
        return 1 + self._fails_for_good + bool(self.ask)

    @property
    def _fails_for_good(self) -> bool:
        """Whether no other call of the first attempt follows; a prompt that is too long is cut once."""
        return not FATAL.isdisjoint(self.fail) or self.fail.count("context_too_long") > 1

    @property
    def first_valid(self) -> int:
        """The attempt whose output is the first valid one."""
        return self.first_written + self.invalid


class DryRunScript(BaseModel):
    """What happens in a dry run; nothing is left out: everything goes well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: dict[str, StepScript] = Field(default_factory=dict, max_length=200)
    latency_seconds: float | None = Field(strict=True, default=None, ge=0, le=MAX_LATENCY_SECONDS, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _names_are_short(cls, value: object) -> object:
        """Refuse long names of steps before their values are looked at: each fault there would repeat the name."""
        steps = value.get("steps") if isinstance(value, dict) else None
        if isinstance(steps, dict) and any(len(str(name)) > MAX_NAME for name in steps):
            raise ValueError(f"The name of a step has at most {MAX_NAME} characters.")
        return value

    def of(self, step_id: str) -> StepScript:
        """Return what happens in a step, or in one for an item."""
        found = self.steps.get(step_id.partition("@")[0], StepScript())
        seconds = self.latency_seconds if found.latency_seconds is None else found.latency_seconds
        return found.model_copy(update={"latency_seconds": seconds})
