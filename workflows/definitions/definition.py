"""Workflow definitions: immutable models, with the order of steps derived from their documents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property

from pydantic import Field

from workflows.definitions.budget import Budget
from workflows.definitions.for_each import Chain, ForEach, Slug
from workflows.definitions.placeholders import is_template, render_text
from workflows.definitions.policies import (
    ANY_REVIEWER,
    MAX_ASSIGNEES,
    MAX_DEADLINE,
    MAX_TOKENS,
    AcceptancePolicy,
    ApproversPolicy,
    BriefPolicy,
    ClarificationPolicy,
    FrozenModel,
    ModelName,
    OnDeadline,
    OnExhausted,
    RetryPolicy,
    ReviewPolicy,
    Sha256,
    Template,
    UserName,
    WaitPolicy,
)
from workflows.errors import DefinitionError
from workflows.json_schema.validation import JsonSchema, validator_of

__all__ = [
    "ANY_REVIEWER",
    "AcceptancePolicy",
    "ApproversPolicy",
    "BriefPolicy",
    "ClarificationPolicy",
    "DefinitionError",
    "ForEach",
    "JsonSchema",
    "OnDeadline",
    "OnExhausted",
    "RetryPolicy",
    "ReviewPolicy",
    "RoleDefinition",
    "Slug",
    "StepDefinition",
    "WaitPolicy",
    "WorkflowDefinition",
    "validator_of",
]

MAX_STEPS = 200  # of a workflow; it has no more roles than these
REHEARSAL = "rehearsal:rehearsal"  # the free model that generates placeholder documents


class RoleDefinition(FrozenModel):
    """A role that the model takes for a step."""

    name: str = Field(min_length=1, max_length=80, description="Display name, also for the model.")
    instructions: str = Field(min_length=1, description="Knowledge, priorities and limits of the role.")

    def rendered(self, names: Mapping[str, str]) -> RoleDefinition:
        """Return the role with the placeholders in its text replaced."""
        if not is_template(self.instructions):
            return self
        return self.model_copy(update={"instructions": render_text(self.instructions, names)})


class StepDefinition(FrozenModel):
    """A step: reads documents, and produces one document."""

    id: Slug = Field(description="Name of the step in paths, events and costs; `id@key` for an item.")
    name: str = Field(min_length=1, max_length=80, description="Display name, and the heading of the task.")
    description: str = Field(default="", description="Description for people.")
    role: Slug = Field(description="Key into the workflow's roles.")
    task: str = Field(
        min_length=1,
        description="Instructions for the model: what good output is, and how to handle missing information.",
    )
    inputs: tuple[Slug, ...] = Field(default=(), description="Document types that the step reads.")
    for_each: ForEach | None = Field(
        default=None, description="The step runs once for each item of this collection; null: it runs once."
    )
    produces: Slug = Field(description="Type of the document that the step produces.")
    output_schema: JsonSchema = Field(
        description="JSON Schema of the document; requires a string `title`. The default dialect is 2020-12."
    )
    model: ModelName = Field(default="standard", description="Alias (fast, standard, strong) or provider:model.")
    fallbacks: tuple[ModelName, ...] = Field(
        default=(), max_length=5, description="Models that are tried in this order when the previous models fail."
    )
    clarification: ClarificationPolicy | None = Field(default=None, description="null: the step may not ask questions.")
    acceptance: AcceptancePolicy | None = Field(
        default=None, description="Dependent steps start after a person has accepted the document; null: immediately."
    )
    assignees: tuple[UserName, ...] = Field(
        default=(),
        max_length=MAX_ASSIGNEES,
        description="Users who answer its questions and decide about its document; empty: all reviewers.",
    )
    approvers: ApproversPolicy | None = Field(
        default=None, description="Votes that accept the document; null: one decision of any reviewer."
    )
    due_seconds: float | None = Field(
        strict=True,
        default=None,
        gt=0,
        le=MAX_DEADLINE,
        allow_inf_nan=False,
        description="Seconds until questions or a document are overdue, which is only told; null: no due date.",
    )
    remind_seconds_before: float | None = Field(
        strict=True,
        default=None,
        gt=0,
        le=MAX_DEADLINE,
        allow_inf_nan=False,
        description="Seconds before the due date at which a reminder is sent; null: no reminder.",
    )
    review: ReviewPolicy | None = Field(
        default=None, description="Another model reviews each valid document by a rubric; null: no review."
    )
    max_attempts: int = Field(
        strict=True, default=3, ge=1, le=10, description="Max outputs until one is valid and passes its review."
    )
    on_exhausted: OnExhausted = Field(
        default=OnExhausted.FAIL, description="What happens when no output was good enough."
    )
    input_token_budget: int = Field(
        strict=True,
        default=24_000,
        ge=500,
        le=MAX_TOKENS,
        description="Tokens that brief, documents and items share; the longest texts are truncated in the middle.",
    )
    max_output_tokens: int = Field(
        strict=True,
        default=8_000,
        ge=100,
        le=MAX_TOKENS,
        description="Max length of a reply; a longer reply fails the step.",
    )
    timeout_seconds: int = Field(
        strict=True, default=600, ge=1, le=86_400, description="Time limit of one call to a model."
    )
    retries: RetryPolicy = Field(default=RetryPolicy(), description="Retries after temporary errors of the provider.")
    render: Template | None = Field(
        default=None, description="Markdown template of the document's downloads; null: the usual form."
    )

    def rendered(self, names: Mapping[str, str]) -> StepDefinition:
        """Return the step with the placeholders in its texts replaced."""
        if not is_template(self.task) and (self.review is None or not is_template(self.review.rubric)):
            return self
        texts: dict[str, object] = {"task": render_text(self.task, names)}
        if self.review is not None:
            texts["review"] = self.review.model_copy(update={"rubric": render_text(self.review.rubric, names)})
        return self.model_copy(update=texts)

    @property
    def rehearsed(self) -> StepDefinition:
        """The step with the rehearsal model in place of its models."""
        review = None if self.review is None else self.review.model_copy(update={"model": REHEARSAL})
        return self.model_copy(update={"model": REHEARSAL, "fallbacks": (), "review": review})

    @property
    def decision(self) -> AcceptancePolicy | None:
        """The policy by which a person accepts the document, always or after failed reviews; None: never."""
        if self.acceptance is None and self.on_exhausted is OnExhausted.ACCEPTANCE:
            return AcceptancePolicy(
                instructions="The review rejected the document; its findings are in the provenance."
            )
        return self.acceptance

    @property
    def wait(self) -> WaitPolicy:
        """Who acts on the step when it waits for people, and until when."""
        return WaitPolicy(
            assignees=self.assignees,
            approvers=self.approvers,
            due_seconds=self.due_seconds,
            remind_seconds_before=self.remind_seconds_before,
        )

    @property
    def model_names(self) -> tuple[str, ...]:
        """All models that the step may call, as written: its model, its fallbacks, its reviewer."""
        return (self.model, *self.fallbacks, *(() if self.review is None else (self.review.model,)))

    @cached_property
    def schema_text(self) -> str:
        """The output schema as text for a model."""
        return json.dumps(self.output_schema, indent=1, ensure_ascii=False)


MAX_RETENTION_DAYS = 36_500


class WorkflowDefinition(FrozenModel):
    """A workflow: roles and steps. The order of the steps follows from the documents that they read and produce."""

    id: Slug = Field(description="Name of the workflow in paths and costs.")
    name: str = Field(min_length=1, max_length=120, description="Display name.")
    description: str = Field(
        min_length=1, description="Description for people: what the workflow produces from which input."
    )
    scope_documents: tuple[Slug, ...] = Field(
        default=(), description="Document types that must exist in the scope before a start."
    )
    brief: BriefPolicy = Field(
        default=BriefPolicy.OPTIONAL, description="Whether a start needs a brief; none: a brief is not allowed."
    )
    roles: dict[Slug, RoleDefinition] = Field(description="Roles of the model, by id.")
    steps: tuple[StepDefinition, ...] = Field(
        min_length=1,
        max_length=MAX_STEPS,
        description="The steps in any order; the documents determine the order of execution.",
    )
    budget: Budget | None = Field(default=None, description="Budget of executions that are started without one.")
    max_parallel: int | None = Field(
        strict=True,
        default=None,
        ge=1,
        le=1_000,
        description="Max concurrent steps; the server's limit applies too.",
    )
    retention_days: int | None = Field(
        strict=True,
        default=None,
        ge=1,
        le=MAX_RETENTION_DAYS,
        description="Days after the end of an execution of this version until its contents are erased; a retention of "
        "the scope replaces it.",
    )
    house: Sha256 | None = Field(
        default=None,
        description="`{file: house.docx}`: styles, header and footer of DOCX downloads; stored as the file's SHA-256.",
    )

    @cached_property
    def producers(self) -> dict[str, StepDefinition]:
        """The producing step of each document type."""
        return {step.produces: step for step in self.steps}

    @cached_property
    def loops(self) -> dict[str, tuple[ForEach, ...]]:
        """The `for_each` declarations that apply to each step, outermost first."""
        return {step.id: _loops_of(self, step) for step in self.steps}

    @cached_property
    def for_each_chain(self) -> dict[str, Chain]:
        """The collections that each step iterates over, outermost first."""
        return {step_id: tuple((loop.document, loop.items) for loop in loops) for step_id, loops in self.loops.items()}

    def step(self, step_id: str) -> StepDefinition:
        """Return the step with this id, or the step of an item (`slug@key`).

        Raises:
            KeyError: there is no such step.
        """
        slug = step_id.partition("@")[0]
        for step in self.steps:
            if step.id == slug:
                return step
        raise KeyError(step_id)

    def reads(self, step: StepDefinition) -> tuple[str, ...]:
        """Return the document types that a step reads: its inputs, then the collections that it iterates over."""
        return tuple(dict.fromkeys((*step.inputs, *(document for document, _ in self.for_each_chain[step.id]))))

    @cached_property
    def positions(self) -> dict[str, int]:
        """Index of each step in the definition."""
        return {step.id: position for position, step in enumerate(self.steps)}

    @cached_property
    def rehearsed(self) -> WorkflowDefinition:
        """The workflow with the rehearsal model in place of all models."""
        return self.model_copy(update={"steps": tuple(step.rehearsed for step in self.steps)})

    @cached_property
    def document_order(self) -> tuple[str, ...]:
        """All document types in topological order. All prompts list documents in this order."""
        ordered = sorted(self.steps, key=lambda step: (self.levels[step.id], self.positions[step.id]))
        return (*self.scope_documents, *(step.produces for step in ordered))

    @cached_property
    def shared_inputs(self) -> dict[str, tuple[str, ...]]:
        """The document types at the start of each step's prompt, after the brief."""
        return {step.id: tuple(kind for kind in self.document_order if kind in step.inputs) for step in self.steps}

    @cached_property
    def may_ask(self) -> bool:
        """Whether any step may ask questions."""
        return any(step.clarification is not None for step in self.steps)

    @cached_property
    def dependencies(self) -> dict[str, tuple[str, ...]]:
        """The steps whose documents each step reads, in reading order."""
        return {
            step.id: tuple(self.producers[kind].id for kind in self.reads(step) if kind in self.producers)
            for step in self.steps
        }

    @cached_property
    def levels(self) -> dict[str, int]:
        """Topological level of each step: 0 for steps that depend on no other step."""
        dependencies = self.dependencies
        levels: dict[str, int] = {}
        while len(levels) < len(dependencies):
            for step_id, needed in dependencies.items():
                if step_id not in levels and all(other in levels for other in needed):
                    levels[step_id] = 1 + max((levels[other] for other in needed), default=-1)
        return levels

    def content_hash(self) -> str:
        """Return the SHA-256 (hex) of the definition's content.

        The order of names within an output schema matters, because models write their fields in that order. Default
        values are omitted, so that new fields do not change hashes.
        """
        content = self.model_dump(mode="json", exclude_defaults=True)
        content["roles"] = dict(sorted(content["roles"].items()))
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def _loops_of(definition: WorkflowDefinition, step: StepDefinition) -> tuple[ForEach, ...]:
    """Return the `for_each` declarations of a step and of the producers of its collections, outermost first."""
    loops: tuple[ForEach, ...] = ()
    seen: set[str] = set()
    each: StepDefinition | None = step
    while each is not None and each.for_each is not None and each.id not in seen:  # cycles are reported elsewhere
        seen.add(each.id)
        loops = (each.for_each, *loops)
        each = definition.producers.get(each.for_each.document)
    return loops
