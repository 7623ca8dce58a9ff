"""Validation of references in a definition: roles, documents, collections, models, placeholders, schemas.

It also finds duplicates and cycles. `parse_definition` in `parser.py` calls this and all other checks.
"""

from __future__ import annotations

from collections.abc import Iterator

from common.errors import FieldError
from common.json_pointer import pointer
from common.listings import listed
from workflows.definitions.definition import StepDefinition, WorkflowDefinition
from workflows.definitions.for_each_checks import iteration_errors
from workflows.definitions.placeholders import ITEM_NAMES, NAMES, invalid_placeholders, placeholders
from workflows.definitions.policies import ALIASES, OnExhausted, is_model
from workflows.definitions.wait_checks import wait_errors
from workflows.json_schema.validation import JsonSchema, has_title, schema_errors

#: `/workflows/{id}` has other meanings for these.
RESERVED_IDS = frozenset({"schema", "validate"})


def reference_errors(definition: WorkflowDefinition) -> Iterator[FieldError]:
    """Yield missing and invalid references."""
    yield from _duplicate_errors(definition)
    unreadable: set[str] = set()
    available = [*definition.scope_documents, *(step.produces for step in definition.steps)]
    produced = set(available)
    for index, step in enumerate(definition.steps):
        if step.role not in definition.roles:
            yield FieldError(
                pointer=pointer("steps", index, "role"), code="unknown_role", detail=_no_role(definition, step)
            )
        for number, kind in enumerate(step.inputs):
            if kind not in produced:
                yield FieldError(
                    pointer=pointer("steps", index, "inputs", number),
                    code="unknown_document",
                    detail=f"No step produces {kind!r}, nor is it in scope_documents. Available: {listed(available)}.",
                )
        if step.on_exhausted is OnExhausted.ACCEPTANCE and step.review is None:
            detail = "A person can only accept valid documents: add a review to the step."
            yield FieldError(pointer=pointer("steps", index, "on_exhausted"), code="nothing_to_accept", detail=detail)
        yield from _model_errors(index, step)
        yield from _placeholder_errors(definition, index, step)
        if found := list(schema_errors(step.output_schema, "steps", index, "output_schema")):
            unreadable.add(step.produces)
            yield from found
        elif not has_title(step.output_schema):
            detail = _untitled(step.output_schema)
            yield FieldError(pointer=pointer("steps", index, "output_schema"), code="untitled_document", detail=detail)
    yield from iteration_errors(definition, unreadable=unreadable)
    yield from wait_errors(definition)
    yield from _cycle_errors(definition)


def _untitled(schema: JsonSchema) -> str:
    """Return the error text, with the fix if only the root lacks `type: object`."""
    detail = "A document is an object with a required string `title`."
    if "type" not in schema and has_title({**schema, "type": "object"}):
        return f"{detail} The root's reference leads to one: add `type: object` at the root."
    return detail


def _no_role(definition: WorkflowDefinition, step: StepDefinition) -> str:
    available = f"Available: {listed([*definition.roles])}." if definition.roles else "The workflow has no roles."
    return f"There is no role {step.role!r}. {available}"


def _model_errors(index: int, step: StepDefinition) -> Iterator[FieldError]:
    """Yield invalid model names."""
    named: dict[tuple[str | int, ...], str] = {("model",): step.model}
    named |= {("fallbacks", at): name for at, name in enumerate(step.fallbacks)}
    if step.review is not None:
        named["review", "model"] = step.review.model
    for where, name in named.items():
        if not is_model(name):
            detail = f"Expected {', '.join(ALIASES)} or provider:model, such as anthropic:claude-sonnet-5-5."
            yield FieldError(pointer=pointer("steps", index, *where), code="unknown_model", detail=detail)


def _placeholder_errors(definition: WorkflowDefinition, index: int, step: StepDefinition) -> Iterator[FieldError]:
    """Yield unknown and invalid placeholders. A role's text is checked for each step that has the role."""
    known = NAMES if step.for_each is None else NAMES | ITEM_NAMES
    texts = {pointer("steps", index, "task"): step.task}
    if step.review is not None:
        texts[pointer("steps", index, "review", "rubric")] = step.review.rubric
    if step.role in definition.roles:
        texts[pointer("roles", step.role, "instructions")] = definition.roles[step.role].instructions
    for where, text in texts.items():
        for name in placeholders(text):
            if name not in known:
                detail = f"Step {step.id!r} has no value for {{{{ {name} }}}}; available: {', '.join(known)}."
                yield FieldError(pointer=where, code="unknown_placeholder", detail=detail)
        for shown in invalid_placeholders(text):
            detail = f"{shown!r} is not a placeholder; write a name between braces, such as {{{{ step.id }}}}."
            detail += f' To write {shown[:2]} as text, use {{{{ "{shown[:2]}" }}}}.'
            yield FieldError(pointer=where, code="broken_placeholder", detail=detail)


def _duplicate_errors(definition: WorkflowDefinition) -> Iterator[FieldError]:
    if definition.id in RESERVED_IDS:
        detail = f"{definition.id!r} is a path of the API; choose another id."
        yield FieldError(pointer="/id", code="reserved_id", detail=detail)
    ids: set[str] = set()
    kinds: set[str] = set(definition.scope_documents)
    for index, step in enumerate(definition.steps):
        if step.id in ids:
            yield FieldError(
                pointer=pointer("steps", index, "id"), code="duplicate_step", detail=f"Duplicate {step.id!r}."
            )
        if step.produces in kinds:
            detail = f"Another step produces {step.produces!r}, or it is in scope_documents."
            yield FieldError(pointer=pointer("steps", index, "produces"), code="duplicate_document", detail=detail)
        ids.add(step.id)
        kinds.add(step.produces)


def _cycle_errors(definition: WorkflowDefinition) -> Iterator[FieldError]:
    dependencies = {step_id: set(needed) for step_id, needed in definition.dependencies.items()}
    done: set[str] = set()
    while free := {step_id for step_id, needed in dependencies.items() if step_id not in done and needed <= done}:
        done |= free
    for index, step in enumerate(definition.steps):
        if step.id not in done:
            detail = f"{step.id!r} can never start: it depends on itself through other steps."
            where = ("inputs",) if step.inputs or step.for_each is None else ("for_each", "document")
            yield FieldError(pointer=pointer("steps", index, *where), code="cycle", detail=detail)
