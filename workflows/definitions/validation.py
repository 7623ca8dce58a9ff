"""What a definition refers to: roles, documents, items, other schemas. Everything is checked as it is parsed."""

from __future__ import annotations

from collections.abc import Iterator

from common.listings import listed
from workflows.definitions.definition import StepDefinition, WorkflowDefinition
from workflows.definitions.for_each_checks import iteration_faults
from workflows.definitions.placeholders import ITEM_NAMES, NAMES, broken, placeholders
from workflows.definitions.policies import ALIASES, OnExhausted, is_model
from workflows.errors import Fault, pointer
from workflows.json_schema.validation import JsonSchema, has_title, schema_faults


def reference_faults(definition: WorkflowDefinition) -> Iterator[Fault]:
    """Yield everything in a definition that refers to nothing, or to the wrong thing."""
    yield from _duplicate_faults(definition)
    unreadable: set[str] = set()
    there = [*definition.scope_documents, *(step.produces for step in definition.steps)]
    produced = set(there)
    for index, step in enumerate(definition.steps):
        if step.role not in definition.roles:
            yield Fault(pointer=pointer("steps", index, "role"), code="unknown_role", detail=_no_role(definition, step))
        for number, kind in enumerate(step.inputs):
            if kind not in produced:
                yield Fault(
                    pointer=pointer("steps", index, "inputs", number),
                    code="unknown_document",
                    detail=f"No step makes a {kind!r}, and scope_documents has none. There are: {listed(there)}.",
                )
        if step.on_exhausted is OnExhausted.ACCEPTANCE and step.review is None:
            detail = "A person can accept valid documents alone: give the step a review that may find fault with one."
            yield Fault(pointer=pointer("steps", index, "on_exhausted"), code="nothing_to_accept", detail=detail)
        yield from _model_faults(index, step)
        yield from _placeholder_faults(definition, index, step)
        if found := list(schema_faults(step.output_schema, "steps", index, "output_schema")):
            unreadable.add(step.produces)
            yield from found
        elif not has_title(step.output_schema):
            detail = _untitled(step.output_schema)
            yield Fault(pointer=pointer("steps", index, "output_schema"), code="untitled_document", detail=detail)
    yield from iteration_faults(definition, unreadable=unreadable)
    yield from _cycle_faults(definition)


def _untitled(schema: JsonSchema) -> str:
    """Return what is missing, or what the root has to say where what it refers to has all of it."""
    detail = "A document is an object with a required string `title`."
    if "type" not in schema and has_title({**schema, "type": "object"}):
        return f"{detail} What the root refers to is one: write `type: object` beside the reference, at the root."
    return detail


def _no_role(definition: WorkflowDefinition, step: StepDefinition) -> str:
    there = f"There are: {listed([*definition.roles])}." if definition.roles else "There are none."
    return f"No role {step.role!r}. {there}"


def _model_faults(index: int, step: StepDefinition) -> Iterator[Fault]:
    """Yield the names that no model can have."""
    named: dict[tuple[str | int, ...], str] = {("model",): step.model}
    named |= {("fallbacks", at): name for at, name in enumerate(step.fallbacks)}
    if step.review is not None:
        named["review", "model"] = step.review.model
    for where, name in named.items():
        if not is_model(name):
            detail = f"A model is {', '.join(ALIASES)} or provider:model, such as anthropic:claude-sonnet-5-5."
            yield Fault(pointer=pointer("steps", index, *where), code="unknown_model", detail=detail)


def _placeholder_faults(definition: WorkflowDefinition, index: int, step: StepDefinition) -> Iterator[Fault]:
    """Yield the placeholders that would stand for nothing; those of a role's text in every step that has the role."""
    known = NAMES if step.for_each is None else NAMES | ITEM_NAMES
    texts = {pointer("steps", index, "task"): step.task}
    if step.review is not None:
        texts[pointer("steps", index, "review", "rubric")] = step.review.rubric
    if step.role in definition.roles:
        texts[pointer("roles", step.role, "instructions")] = definition.roles[step.role].instructions
    for where, text in texts.items():
        for name in placeholders(text):
            if name not in known:
                detail = f"Step {step.id!r} has nothing for {{{{ {name} }}}}; there are {', '.join(known)}."
                yield Fault(pointer=where, code="unknown_placeholder", detail=detail)
        for shown in broken(text):
            detail = f"{shown!r} is no placeholder; one is a name between braces, such as {{{{ step.id }}}}."
            detail += f' Where {shown[:2]} is meant as text, write {{{{ "{shown[:2]}" }}}} for it.'
            yield Fault(pointer=where, code="broken_placeholder", detail=detail)


def _duplicate_faults(definition: WorkflowDefinition) -> Iterator[Fault]:
    ids: set[str] = set()
    kinds: set[str] = set(definition.scope_documents)
    for index, step in enumerate(definition.steps):
        if step.id in ids:
            yield Fault(pointer=pointer("steps", index, "id"), code="duplicate_step", detail=f"{step.id!r} again.")
        if step.produces in kinds:
            detail = f"{step.produces!r} is made elsewhere already; one document per scope and type."
            yield Fault(pointer=pointer("steps", index, "produces"), code="duplicate_document", detail=detail)
        ids.add(step.id)
        kinds.add(step.produces)


def _cycle_faults(definition: WorkflowDefinition) -> Iterator[Fault]:
    waits_for = {step_id: set(needed) for step_id, needed in definition.dependencies.items()}
    done: set[str] = set()
    while free := {step_id for step_id, needed in waits_for.items() if step_id not in done and needed <= done}:
        done |= free
    for index, step in enumerate(definition.steps):
        if step.id not in done:
            detail = f"{step.id!r} can never start: it waits for a step that waits for it."
            where = ("inputs",) if step.inputs or step.for_each is None else ("for_each", "document")
            yield Fault(pointer=pointer("steps", index, *where), code="cycle", detail=detail)
