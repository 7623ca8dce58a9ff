"""What is the same whenever a step of a workflow's version is worked on: looked up once, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from executions.engine.domain.copying import IdentityKey
from executions.engine.ports import ModelClient
from executions.engine.prompting.origin import step_hash
from workflows.definitions.definition import StepDefinition, WorkflowDefinition

_KEPT = 1_000  # steps


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedStep:
    """A step as it is for all executions, and all items."""

    step: StepDefinition
    reads: tuple[str, ...]  # types of the documents that it reads
    models: tuple[str, ...]  # resolved: the step's model, then its fallbacks
    reviewers: tuple[str, ...]  # resolved
    #: Number of leading materials (brief, documents) that other prompts to the same model share. A provider can read
    #: these from its prompt cache. 0: no shared prefix.
    shared: int
    hash: str  # of what defines its result


def resolve_step(definition: WorkflowDefinition, step_id: str, *, models: ModelClient) -> ResolvedStep:
    """Return the resolved definition of a step; for a step instance, of the step that it belongs to.

    Raises:
        KeyError: the workflow has no such step.
    """
    return _resolve_cached(IdentityKey(definition), step_id.partition("@")[0], IdentityKey(models))


@lru_cache(maxsize=_KEPT)
def _resolve_cached(
    definition: IdentityKey[WorkflowDefinition], slug: str, models: IdentityKey[ModelClient]
) -> ResolvedStep:
    workflow, client = definition.value, models.value
    step = workflow.step(slug)
    mine = _resolve_models(client, step.model, *step.fallbacks)
    return ResolvedStep(
        step=step,
        reads=workflow.reads(step),
        models=mine,
        reviewers=() if step.review is None else _resolve_models(client, step.review.model),
        shared=_shared(workflow, step, client, model=mine[0]),
        hash=step_hash(workflow, step),
    )


def _resolve_models(models: ModelClient, *names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(model for name in names for model in models.resolve(name)))


def _shared(definition: WorkflowDefinition, step: StepDefinition, models: ModelClient, *, model: str) -> int:
    mine = definition.shared_inputs[step.id]
    if definition.loops[step.id]:
        return 1 + len(mine)
    others = (each for each in definition.steps if each.id != step.id and models.resolve(each.model)[0] == model)
    common = [_common(mine, definition.shared_inputs[other.id]) for other in others]
    return 1 + max(common) if common else 0


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the common prefix."""
    alike = [mine == theirs for mine, theirs in zip(one, other, strict=False)]
    return [*alike, False].index(False)
