"""Hashes of what a step's document is made from. Equal hashes mean that a call would ask for the same again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from common.canonical_json import digest
from executions.engine.domain.brief import FILES, BriefFile
from executions.engine.domain.copying import IdentityKey
from executions.engine.domain.execution import Brief
from workflows.definitions.definition import StepDefinition, WorkflowDefinition
from workflows.definitions.placeholders import ITEM_NAMES, NAMES

_KEPT = 256  # hashes of briefs, which the documents of one execution share


def brief_hash(brief: Brief | None, files: Sequence[BriefFile] = ()) -> str:
    """Return the hash of a brief. Its files count by name and content: the same file has a new id at each upload."""
    return _hash_of_brief(IdentityKey(brief), tuple((str(each.id), each.name, each.sha256) for each in files))


@lru_cache(maxsize=_KEPT)
def _hash_of_brief(brief: IdentityKey[Brief | None], files: tuple[tuple[str, str, str], ...]) -> str:
    value = brief.value
    if not isinstance(value, Mapping):
        return digest(value)
    listed = value.get(FILES)
    if not files or not isinstance(listed, list | tuple):
        return digest(dict(value))
    known = {file_id: [name, sha256] for file_id, name, sha256 in files}
    return digest({**value, FILES: [known.get(str(each), each) for each in listed]})


def step_hash(workflow: WorkflowDefinition, step: StepDefinition) -> str:
    """Return the hash of what defines a step's result: all but the models, and what limits its calls.

    Names of the workflow count where its texts contain them.
    """
    names = _names(workflow, step)
    role, shown = workflow.roles[step.role].rendered(names), step.rendered(names)
    asks, approvers = step.clarification, step.approvers
    # A document of a step without approvers keeps the hash that it had before there were any.
    votes = {} if approvers is None else {"approvers": [step.assignees, approvers.model_dump(mode="json")]}
    return digest(
        {
            **votes,
            "name": step.name,
            "role": role.model_dump(mode="json"),
            "task": shown.task,
            "inputs": sorted(step.inputs),
            "for_each": [each.model_dump(mode="json", exclude_defaults=True) for each in workflow.loops[step.id]],
            "produces": step.produces,
            "output_schema": step.output_schema,
            "clarification": None if asks is None else [asks.max_rounds, asks.max_questions],
            "acceptance": None if step.acceptance is None else step.acceptance.instructions,
            "review": None if shown.review is None else shown.review.rubric,
        }
    )


def _names(workflow: WorkflowDefinition, step: StepDefinition) -> dict[str, str]:
    """Return the values of the placeholders. Those that differ between scopes and items stand for themselves."""
    fixed = {
        "workflow.id": workflow.id,
        "workflow.name": workflow.name,
        "step.id": step.id,
        "step.name": step.name,
        "document.type": step.produces,
    }
    return {**{name: name for name in (*NAMES, *ITEM_NAMES)}, **fixed}
