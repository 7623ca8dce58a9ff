"""What differs between two versions of a workflow: steps and roles by id, with their fields, texts by words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from documents.comparison.diff import Change, ChangeKind, compare
from documents.comparison.matching import Context
from documents.comparison.values import ABSENT
from workflows.definitions.definition import WorkflowDefinition

REORDERED = "reordered"  # the kind of a change in the order of names alone
_PARTS = frozenset({"steps", "roles"})  # compared by id


@dataclass(frozen=True, slots=True, kw_only=True)
class PartChange:
    """A step or a role that was added, removed or changed. Fields that are added or removed with it are not listed."""

    kind: ChangeKind
    id: str
    name: str
    changes: list[dict[str, JsonValue]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDifference:
    """What differs between two versions."""

    changes: list[dict[str, JsonValue]]  # of the workflow itself
    steps: list[PartChange]
    roles: list[PartChange]
    is_reordered: bool  # the steps that both versions have stand in another order


def compare_definitions(before: WorkflowDefinition | None, after: WorkflowDefinition) -> WorkflowDifference:
    """Return what differs between two definitions; everything is added where there is no earlier one."""
    old = {} if before is None else before.model_dump(mode="json")
    new = after.model_dump(mode="json")
    steps_before, steps = _by_id(old.get("steps", [])), _by_id(new["steps"])
    kept, context = [step for step in steps if step in steps_before], Context()
    return WorkflowDifference(
        changes=list(_fields(_without_parts(old), _without_parts(new), context)),
        steps=list(_parts(steps_before, steps, context)),
        roles=list(_parts(old.get("roles", {}), new["roles"], context)),
        is_reordered=kept != [step for step in steps_before if step in steps],
    )


def _by_id(steps: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {step["id"]: step for step in steps}


def _without_parts(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in definition.items() if name not in _PARTS}


def _parts(
    before: Mapping[str, dict[str, Any]], after: Mapping[str, dict[str, Any]], context: Context
) -> Iterator[PartChange]:
    """Yield the changes in the order of the later version; what was removed follows."""
    for key, part in after.items():
        if key not in before:
            yield PartChange(kind=ChangeKind.ADDED, id=key, name=part["name"], changes=[])
        elif found := list(_fields(before[key], part, context)):
            yield PartChange(kind=ChangeKind.CHANGED, id=key, name=part["name"], changes=found)
    for key, part in before.items():
        if key not in after:
            yield PartChange(kind=ChangeKind.REMOVED, id=key, name=part["name"], changes=[])


def _fields(before: dict[str, Any], after: dict[str, Any], context: Context) -> Iterator[dict[str, JsonValue]]:
    """Yield the changes of two parts, with the name of the field that each is in."""
    for name, value in after.items():
        old = before.get(name, ABSENT)
        if repr(old) == repr(value):  # also the order of names, because models write fields in this order
            continue
        found = [_told(name, change) for change in compare(old, value, context=context).changes]
        place = f"/{name}"
        yield from found or [{"field": name, "kind": REORDERED, "pointer": place, "pointer_before": place}]


def _told(field: str, change: Change) -> dict[str, JsonValue]:
    told = change.as_json()
    del told["labels"]
    for name in ("pointer", "pointer_before"):
        if isinstance(told[name], str):
            told[name] = f"/{field}{told[name]}"
    return {"field": field, **told}
