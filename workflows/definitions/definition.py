"""What a workflow is: a pure description, parsed once, with every reference checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property

from pydantic import Field

from workflows.definitions.budget import Budget
from workflows.definitions.for_each import Chain, ForEach, Slug
from workflows.definitions.placeholders import is_template, rendered
from workflows.definitions.policies import (
    MAX_TOKENS,
    AcceptancePolicy,
    BriefPolicy,
    ClarificationPolicy,
    FrozenModel,
    ModelName,
    OnDeadline,
    OnExhausted,
    RetryPolicy,
    ReviewPolicy,
)
from workflows.errors import DefinitionError, Fault, pointer
from workflows.json_schema.validation import JsonSchema, validator_of

__all__ = [
    "AcceptancePolicy",
    "BriefPolicy",
    "ClarificationPolicy",
    "DefinitionError",
    "Fault",
    "ForEach",
    "JsonSchema",
    "OnDeadline",
    "OnExhausted",
    "RetryPolicy",
    "ReviewPolicy",
    "RoleDefinition",
    "Slug",
    "StepDefinition",
    "WorkflowDefinition",
    "pointer",
    "validator_of",
]

REHEARSAL = "rehearsal:rehearsal"  # the model that knows no language


class RoleDefinition(FrozenModel):
    """Who the model is while it works on a step."""

    name: str = Field(min_length=1, max_length=80, description="For people, and for the model.")
    instructions: str = Field(min_length=1, description="What this role knows, cares about and refuses to do.")

    def rendered(self, names: Mapping[str, str]) -> RoleDefinition:
        """Return the role with what the placeholders in its text stand for."""
        if not is_template(self.instructions):
            return self
        return self.model_copy(update={"instructions": rendered(self.instructions, names)})


class StepDefinition(FrozenModel):
    """One station of the line: documents in, one document out."""

    id: Slug = Field(description="Names the step in paths, events and costs; `id@key` for an item.")
    name: str = Field(min_length=1, max_length=80, description="For people, and the heading of the task.")
    description: str = Field(default="", description="For people.")
    role: Slug = Field(description="Key into the workflow's roles.")
    task: str = Field(
        min_length=1,
        description="What is to be done; say what good output is, and what to do about what is not known.",
    )
    inputs: tuple[Slug, ...] = Field(default=(), description="Document types that the step reads.")
    for_each: ForEach | None = Field(
        default=None, description="The collection for each item of which the step runs; null: it runs once."
    )
    produces: Slug = Field(description="Type of the document that the step makes.")
    output_schema: JsonSchema = Field(
        description="JSON Schema of the document; requires a string `title`. Without `$schema` it is read as 2020-12."
    )
    model: ModelName = Field(default="standard", description="Alias (fast, standard, strong) or provider:model.")
    fallbacks: tuple[ModelName, ...] = Field(
        default=(), max_length=5, description="Models that are asked, in this order, when those before them fail."
    )
    clarification: ClarificationPolicy | None = Field(default=None, description="null: the step may not ask.")
    acceptance: AcceptancePolicy | None = Field(
        default=None, description="What depends on the document starts once a person has accepted it; null: at once."
    )
    review: ReviewPolicy | None = Field(
        default=None, description="Another model judges each valid document by a rubric; null: none does."
    )
    max_attempts: int = Field(
        strict=True, default=3, ge=1, le=10, description="Outputs tried until one is valid, and passes its review."
    )
    on_exhausted: OnExhausted = Field(default=OnExhausted.FAIL, description="What happens when none of them was.")
    input_token_budget: int = Field(
        strict=True,
        default=24_000,
        ge=500,
        le=MAX_TOKENS,
        description="Tokens that brief, documents and items share; the longest are cut in the middle.",
    )
    max_output_tokens: int = Field(
        strict=True,
        default=8_000,
        ge=100,
        le=MAX_TOKENS,
        description="Longest reply; one that is longer fails the step.",
    )
    timeout_seconds: int = Field(strict=True, default=600, ge=1, le=86_400, description="Wall clock of one model call.")
    retries: RetryPolicy = Field(default=RetryPolicy(), description="Of calls that the provider could not answer.")

    def rendered(self, names: Mapping[str, str]) -> StepDefinition:
        """Return the step with what the placeholders in its texts stand for."""
        if not is_template(self.task) and (self.review is None or not is_template(self.review.rubric)):
            return self
        texts: dict[str, object] = {"task": rendered(self.task, names)}
        if self.review is not None:
            texts["review"] = self.review.model_copy(update={"rubric": rendered(self.review.rubric, names)})
        return self.model_copy(update=texts)

    @property
    def rehearsed(self) -> StepDefinition:
        """The step with the rehearsal in place of its models."""
        review = None if self.review is None else self.review.model_copy(update={"model": REHEARSAL})
        return self.model_copy(update={"model": REHEARSAL, "fallbacks": (), "review": review})

    @property
    def decision(self) -> AcceptancePolicy | None:
        """What a person is, or may be, asked about the document; None: nothing."""
        if self.acceptance is None and self.on_exhausted is OnExhausted.ACCEPTANCE:
            return AcceptancePolicy(instructions="Its review was not satisfied; what it found is in the provenance.")
        return self.acceptance

    @property
    def model_names(self) -> tuple[str, ...]:
        """Every model that the step may ask, as it is written here: its own, its fallbacks, its reviewer."""
        return (self.model, *self.fallbacks, *(() if self.review is None else (self.review.model,)))

    @cached_property
    def schema_text(self) -> str:
        """The output schema as a model reads it."""
        return json.dumps(self.output_schema, indent=1, ensure_ascii=False)


class WorkflowDefinition(FrozenModel):
    """Roles and steps; the order of the steps follows from the documents they read and make."""

    id: Slug = Field(description="Names the workflow in paths and costs.")
    name: str = Field(min_length=1, max_length=120, description="For people.")
    description: str = Field(min_length=1, description="For people: what it makes of what.")
    scope_documents: tuple[Slug, ...] = Field(
        default=(), description="Document types that must exist in the scope before the workflow starts."
    )
    brief: BriefPolicy = Field(
        default=BriefPolicy.OPTIONAL, description="Whether an execution is started with a brief; none: it may not be."
    )
    roles: dict[Slug, RoleDefinition] = Field(description="Who the model is; steps name one each.")
    steps: tuple[StepDefinition, ...] = Field(
        min_length=1, max_length=200, description="In any order; what runs when follows from the documents."
    )
    budget: Budget | None = Field(default=None, description="Of an execution that is started without one.")
    max_parallel: int | None = Field(
        strict=True,
        default=None,
        ge=1,
        le=1_000,
        description="Most steps at work at once; the server's own limit holds besides.",
    )

    @cached_property
    def producers(self) -> dict[str, StepDefinition]:
        """The step that makes each type of document."""
        return {step.produces: step for step in self.steps}

    @cached_property
    def loops(self) -> dict[str, tuple[ForEach, ...]]:
        """For each step id how the step goes over its collections, outermost first."""
        return {step.id: _loops_of(self, step) for step in self.steps}

    @cached_property
    def for_each_chain(self) -> dict[str, Chain]:
        """For each step id the collections that it goes over, outermost first."""
        return {step_id: tuple((loop.document, loop.items) for loop in loops) for step_id, loops in self.loops.items()}

    def step(self, step_id: str) -> StepDefinition:
        """Return the step with this id, or the one that this is an instance of (`slug@key`).

        Raises:
            KeyError: no step has it.
        """
        slug = step_id.partition("@")[0]
        for step in self.steps:
            if step.id == slug:
                return step
        raise KeyError(step_id)

    def reads(self, step: StepDefinition) -> tuple[str, ...]:
        """Return the document types that a step reads: its inputs, then the collections that it goes over."""
        return tuple(dict.fromkeys((*step.inputs, *(document for document, _ in self.for_each_chain[step.id]))))

    @cached_property
    def positions(self) -> dict[str, int]:
        """For each step id its place in the definition, from 0."""
        return {step.id: position for position, step in enumerate(self.steps)}

    @cached_property
    def rehearsed(self) -> WorkflowDefinition:
        """The workflow with the rehearsal in place of every model."""
        return self.model_copy(update={"steps": tuple(step.rehearsed for step in self.steps)})

    @cached_property
    def line(self) -> tuple[str, ...]:
        """All document types, in an order in which they can come to be: every prompt has them in this one."""
        made = sorted(self.steps, key=lambda step: (self.levels[step.id], self.positions[step.id]))
        return (*self.scope_documents, *(step.produces for step in made))

    @cached_property
    def shared_inputs(self) -> dict[str, tuple[str, ...]]:
        """For each step id the types of the documents that its prompt begins with, after the brief."""
        return {step.id: tuple(kind for kind in self.line if kind in step.inputs) for step in self.steps}

    @cached_property
    def may_ask(self) -> bool:
        """Whether some step may ask people."""
        return any(step.clarification is not None for step in self.steps)

    @cached_property
    def dependencies(self) -> dict[str, tuple[str, ...]]:
        """For each step id the ids of the steps whose documents it reads, in the order in which it does."""
        return {
            step.id: tuple(self.producers[kind].id for kind in self.reads(step) if kind in self.producers)
            for step in self.steps
        }

    @cached_property
    def levels(self) -> dict[str, int]:
        """For each step id its distance from the start: 0 needs nothing made by another step."""
        waits_for = self.dependencies
        levels: dict[str, int] = {}
        while len(levels) < len(waits_for):
            for step_id, needed in waits_for.items():
                if step_id not in levels and all(other in levels for other in needed):
                    levels[step_id] = 1 + max((levels[other] for other in needed), default=-1)
        return levels

    def content_hash(self) -> str:
        """Return the SHA-256 (hex) of the definition's content: equal content, equal hash.

        The order of names within an output schema counts: a model writes its fields in that order. What is as it would
        be without a word is left out, so that new fields change no hash.
        """
        said = self.model_dump(mode="json", exclude_defaults=True)
        said["roles"] = dict(sorted(said["roles"].items()))
        return _sha256("in order\n" + json.dumps(said, separators=(",", ":"), ensure_ascii=False))

    def unordered_hash(self) -> str:
        """Return the hash by which earlier releases knew the content: it is the same for every order of names."""
        said = self.model_dump(mode="json", exclude_defaults=True)
        return _sha256(json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _loops_of(definition: WorkflowDefinition, step: StepDefinition) -> tuple[ForEach, ...]:
    """Return how a step goes over its collections, outermost first; one that nobody makes ends the search."""
    loops: tuple[ForEach, ...] = ()
    seen: set[str] = set()
    each: StepDefinition | None = step
    while each is not None and each.for_each is not None and each.id not in seen:  # a cycle is a fault of its own
        seen.add(each.id)
        loops = (each.for_each, *loops)
        each = definition.producers.get(each.for_each.document)
    return loops
