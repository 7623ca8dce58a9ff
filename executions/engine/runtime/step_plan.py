"""What is the same whenever a step of a workflow's version is worked on: looked up once, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from executions.engine.domain.copying import IdentityKey
from executions.engine.ports import ModelClient
from workflows.definitions.definition import StepDefinition, WorkflowDefinition

_KEPT = 1_000  # steps


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedStep:
    """A step as it is for all executions, and all items."""

    step: StepDefinition
    reads: tuple[str, ...]  # types of the documents that it is given
    models: tuple[str, ...]  # resolved: the step's own, then those that stand in
    reviewers: tuple[str, ...]  # resolved
    #: How many materials, of the brief and the documents, other prompts to the same model begin with; 0: none is made
    #: that could be read from a cache.
    shared: int


def station(definition: WorkflowDefinition, step_id: str, *, models: ModelClient) -> ResolvedStep:
    """Return what is known of a step, or of the one that this is an instance of.

    Raises:
        KeyError: the workflow has no such step.
    """
    return _station(IdentityKey(definition), step_id.partition("@")[0], IdentityKey(models))


@lru_cache(maxsize=_KEPT)
def _station(definition: IdentityKey[WorkflowDefinition], slug: str, models: IdentityKey[ModelClient]) -> ResolvedStep:
    line, client = definition.value, models.value
    step = line.step(slug)
    mine = _resolved(client, step.model, *step.fallbacks)
    return ResolvedStep(
        step=step,
        reads=line.reads(step),
        models=mine,
        reviewers=() if step.review is None else _resolved(client, step.review.model),
        shared=_shared(line, step, client, model=mine[0]),
    )


def _resolved(models: ModelClient, *names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(model for name in names for model in models.resolve(name)))


def _shared(definition: WorkflowDefinition, step: StepDefinition, models: ModelClient, *, model: str) -> int:
    mine = definition.shared_inputs[step.id]
    if definition.loops[step.id]:
        return 1 + len(mine)
    others = (each for each in definition.steps if each.id != step.id and models.resolve(each.model)[0] == model)
    common = [_common(mine, definition.shared_inputs[other.id]) for other in others]
    return 1 + max(common) if common else 0


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many elements both begin with."""
    alike = [mine == theirs for mine, theirs in zip(one, other, strict=False)]
    return [*alike, False].index(False)
