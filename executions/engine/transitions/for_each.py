"""for_each steps, which run once per item of a collection: expansion of a document into steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import cast

from pydantic import JsonValue

from common.errors import FieldError, Invalid
from common.json_pointer import pointer
from common.limits import limits
from executions.engine.domain.calls import Material
from executions.engine.domain.copying import replace
from executions.engine.domain.events import StepSkipped
from executions.engine.domain.execution import Execution, ScopeRef, Step, child_scope, keys_of, move_step
from executions.engine.domain.states import StepStatus
from executions.engine.prompting.json_text import pretty
from executions.engine.prompting.replies import MAX_VIOLATIONS
from executions.engine.transitions.core import Change
from executions.engine.transitions.planner import instance_id, new_step
from workflows.definitions.definition import ForEach, WorkflowDefinition
from workflows.definitions.for_each import MAX_DEPTH
from workflows.errors import parts_of

MAX_KEY = 40  # characters; three keys and a slug fit into the step id columns
_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_WIDTH = 10_000  # positions per nesting level; a collection has at most 9,999 items
ITEM_GONE = "the collection no longer contains its item"  # reason for which a step is skipped
_NOT_BEGUN = frozenset({StepStatus.PENDING, StepStatus.WAITING})
_LEFT_OUT = frozenset({StepStatus.FAILED, StepStatus.SKIPPED})
_LABEL = 200  # characters
_LABELS = ("title", "name", "label")  # item fields that can label the item, in order of preference


def parent_scope(execution: Execution, step: Step) -> ScopeRef:
    """Return the scope that contains the scope of a step instance."""
    level = len(step.keys) - 1
    above = (execution.steps[other] for other in step.depends_on)
    return next((other.scope for other in above if len(other.keys) == level), execution.scope)


def items_of(over: ForEach, content: Mapping[str, JsonValue] | JsonValue) -> list[JsonValue] | None:
    """Return the collection in a document, None if there is no array at its pointer."""
    value: JsonValue = dict(content) if isinstance(content, Mapping) else None  # a person may write a text
    for part in parts_of(over.items):
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, list) else None


def item_material(over: ForEach, content: Mapping[str, JsonValue], key: str) -> Material | None:
    """Return the item with this key as input of a step; None: the collection does not contain it."""
    for item in items_of(over, content) or ():
        if isinstance(item, dict) and item.get(over.key) == key:
            text = pretty(item)
            return Material(kind="item", name=f"{over.scope_type} {key}", text=text)
    return None


class Collections:
    """The collections in the document that one step produces, and the for_each steps over them."""

    def __init__(self, definition: WorkflowDefinition, step_id: str) -> None:
        self._definition = definition
        self._step_id = step_id
        self._made = definition.step(step_id).produces
        self._depth = len(keys_of(step_id))
        self._steps = [
            (each, each.for_each)
            for each in definition.steps
            if each.for_each is not None and each.for_each.document == self._made
        ]

    def faults(self, execution: Execution, content: Mapping[str, JsonValue]) -> tuple[FieldError, ...]:
        """Return the errors that prevent the for_each steps, with pointers to the items."""
        if not self._steps:
            return ()
        found: dict[FieldError, None] = {}
        for _, over in self._steps:
            items = items_of(over, content)
            if items is None:
                detail = "Expected an array: for_each steps run over its items."
                found[FieldError(pointer=over.items, code="not_a_collection", detail=detail)] = None
                continue
            found |= dict.fromkeys(_faults_of_items(over, items))
        if not found and len(execution.steps.keys() | self._ids(content)) > limits().steps:
            detail = f"With these items the execution would have more than {limits().steps} steps."
            return (FieldError(pointer=self._steps[0][1].items, code="too_many_items", detail=detail),)
        return tuple(found)[:MAX_VIOLATIONS]

    def _ids(self, content: Mapping[str, JsonValue]) -> set[str]:
        above = keys_of(self._step_id)
        return {
            instance_id(template.id, (*above, str(item[over.key])))
            for template, over in self._steps
            for item in cast("list[dict[str, JsonValue]]", items_of(over, content))
        }

    def expand(self, execution: Execution, content: Mapping[str, JsonValue], *, now: datetime) -> Change:
        """Add the steps over the items of the step's document, before the step is completed.

        Steps of items that existed before are kept. Steps of removed items are skipped.

        Raises:
            Invalid: a collection is not valid; `errors` says why.
        """
        if not self._steps:
            return Change(execution=execution, events=())
        if faults := self.faults(execution, content):
            raise Invalid(f"The for_each steps over {self._made!r} cannot run: {faults[0].detail}", list(faults))
        wanted = {step.step_id: step for step in self._instances(execution, content)}
        alive = {self._item(step) for step in wanted.values()}
        gone = [step for step in self._unstarted(execution) if self._item(step) not in alive]
        kept = [step for step in (_kept(execution.steps.get(each.step_id), each) for each in wanted.values()) if step]
        skipped = [move_step(execution, step, StepStatus.SKIPPED, now=now) for step in gone]
        events = [StepSkipped(step_id=step.step_id, reason=ITEM_GONE) for step in skipped]
        out = {step.step_id for step in execution.steps.values() if step.status in _LEFT_OUT}
        for index, step in sorted(enumerate(kept), key=lambda each: each[1].level):
            if step.step_id not in execution.steps and not out.isdisjoint(step.depends_on):
                out.add(step.step_id)
                kept[index] = move_step(execution, step, StepStatus.SKIPPED, now=now)
                events.append(StepSkipped(step_id=step.step_id, reason="a document that it needs will not be produced"))
        return Change(execution=execution.with_steps([*kept, *skipped]), events=tuple(events))

    def _item(self, step: Step) -> tuple[tuple[str, str], str]:
        """Return the collection and the key of the item that the step belongs to, directly or through an inner item."""
        return self._definition.for_each_chain[step.slug][self._depth], step.keys[self._depth]

    def _instances(self, execution: Execution, content: Mapping[str, JsonValue]) -> Iterator[Step]:
        producer, chains = execution.steps[self._step_id], self._definition.for_each_chain
        unit = _WIDTH ** (MAX_DEPTH - 1 - self._depth)
        for template, over in self._steps:
            plain = new_step(self._definition, template, scope=execution.scope)
            for index, item in enumerate(cast("list[dict[str, JsonValue]]", items_of(over, content))):
                key = str(item[over.key])
                keys = (*producer.keys, key)
                yield replace(
                    plain,
                    step_id=instance_id(template.id, keys),
                    depends_on=tuple(instance_id(other, keys[: len(chains[other])]) for other in plain.depends_on),
                    scope=child_scope(producer.scope, over.scope_type, key),
                    label=_label(item, key),
                    item_order=producer.item_order + (index + 1) * unit,
                )

    def _unstarted(self, execution: Execution) -> Iterator[Step]:
        """Yield the steps below these collections, at any depth, that have not started or wait."""
        above = keys_of(self._step_id)
        for step in execution.steps.values():
            inside = len(step.keys) > self._depth and step.keys[: self._depth] == above
            if inside and step.status in _NOT_BEGUN and self._item(step)[0][0] == self._made:
                yield step


def _faults_of_items(over: ForEach, items: Sequence[JsonValue]) -> Iterator[FieldError]:
    if len(items) > over.max_items:
        detail = f"There are {len(items)} items; at most {over.max_items} are allowed."
        yield FieldError(pointer=over.items, code="too_many_items", detail=detail)
    first: dict[str, int] = {}
    for index, item in enumerate(items):
        where = f"{over.items}{pointer(index, over.key)}"
        key = item.get(over.key) if isinstance(item, dict) else None
        if not isinstance(key, str) or len(key) > MAX_KEY or not _KEY.fullmatch(key):
            detail = f"Expected a key: a-z, 0-9 and single hyphens, at most {MAX_KEY} characters."
            yield FieldError(pointer=where, code="unusable_key", detail=detail)
        elif first.setdefault(key, index) != index:
            detail = f"The key {key!r} already belongs to item {first[key]}; every item needs a key of its own."
            yield FieldError(pointer=where, code="duplicate_key", detail=detail)


def _label(item: Mapping[str, JsonValue], key: str) -> str:
    named = (item.get(name) for name in _LABELS)
    return next((text for text in named if isinstance(text, str) and text), key)[:_LABEL]


def _kept(known: Step | None, wanted: Step) -> Step | None:
    """Return the step to store: the new one, or the known one with its item's new order and label; None: unchanged."""
    if known is None:
        return wanted
    if (known.label, known.item_order) == (wanted.label, wanted.item_order):
        return None
    return replace(known, label=wanted.label, item_order=wanted.item_order, version=known.version + 1)
