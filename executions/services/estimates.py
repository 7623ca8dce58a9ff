"""Estimates: expected calls, tokens and cost of a workflow, without starting it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from uuid_utils.compat import uuid7

from access import selectors as access
from access.permissions import NEEDED_ROLE, Action, allows
from access.selectors import Person
from documents import repository as documents
from documents.repository import StoredDocument
from executions.composition import build_ports
from executions.db_threads import in_thread
from executions.engine.domain.brief import BriefFile, file_of
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Brief, ScopeRef
from executions.engine.domain.states import Reuse
from executions.engine.estimation import Basis, Span, StepForecast, StepHistory, forecast, sum_of, total
from executions.engine.prompting.json_text import shown
from executions.engine.runtime.reuse_plan import ReusePlan, plan_reuse
from executions.engine.transitions.planner import new_execution
from executions.persistence.repositories import get_files
from executions.selectors.executions import newest_of_workflow
from executions.services.files import read_files
from executions.services.preflight import require_brief, resolve_workflow
from telemetry import usage_history
from telemetry.price_list import FREE_PROVIDERS
from telemetry.pricing import prices
from workflows.definitions.definition import WorkflowDefinition

NOTHING_REUSED = ReusePlan()
PAST_EXECUTIONS = 1_000  # the newest ones, so that an estimate takes the same time after any number


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimate of an execution. The cost is None if a model has no known price."""

    workflow_id: str
    workflow_version: int
    calls: Span
    input_tokens: Span
    output_tokens: Span
    cost_usd: Span | None
    known_cost_usd: Span  # cost of the steps whose models all have known prices
    unpriced_models: list[str]
    based_on_executions: int
    steps: list[StepForecast]


def estimate(
    *,
    user: Person,
    workflow_id: str,
    input: Brief | None = None,
    scope_type: str | None = None,
    scope_id: str | None = None,
    workflow_version: int | None = None,
    reuse: ReusePlan = NOTHING_REUSED,
    now: datetime,
) -> Estimate:
    """Return the estimate of a workflow for a brief. Writes nothing. `reuse` is the result of `find_reusable`.

    Raises:
        NotFound: there is no such workflow or version.
        Invalid: the workflow needs a brief or does not accept one, or a file of it cannot be used.
    """
    found = resolve_workflow(workflow_id, workflow_version)
    definition, version = found.definition, found.version
    require_brief(definition, input)
    prices.CONFIGURED.get()
    past = _past(user, workflow_id)
    root_id = _root_id(user, scope_type, scope_id)
    heads = {} if root_id is None else _scope_documents(definition, root_id)
    sizes = {kind: len(shown(head.content).encode()) for kind, head in heads.items()}
    basis = Basis(
        definition=definition,
        brief=input,
        files=read_files(user=user, brief=input, root_id=root_id, of_any_scope=scope_id is None),
        models=_models(definition),
        past=past,
        scope_documents=sizes | dict(reuse.sizes),
        document_files={} if root_id is None else _files_of(heads, root_id),
        reading=build_ports().models.reading,
        reused=reuse.reused,
        runs=reuse.runs,
        price=lambda model, sent, written, dearest: _price(model, sent, written, dearest=dearest, now=now),
    )
    steps = forecast(basis)
    return _whole(workflow_id, version, steps, now=now, executions=_executions(past))


def _past(user: Person, workflow_id: str) -> dict[str, StepHistory]:
    """Return what the steps used in the newest executions."""
    executions = newest_of_workflow(user=user, workflow_id=workflow_id, limit=PAST_EXECUTIONS)
    found = usage_history.step_histories(execution_ids=executions, excluded_providers=FREE_PROVIDERS)
    return {step: StepHistory(**values) for step, values in found.items()}


async def find_reusable(
    *,
    user: Person,
    workflow_id: str,
    input: Brief | None = None,
    scope_type: str,
    scope_id: str,
    workflow_version: int | None = None,
    now: datetime,
) -> ReusePlan:
    """Return what an execution with `reuse: current` would reuse now; nothing in a scope that the user may not see.

    Raises:
        NotFound: there is no such workflow or version.
        ScopeForbidden: the user may see the scope, but not start executions in it.
        Invalid: a file of the brief cannot be used.
    """
    found = await in_thread(resolve_workflow, workflow_id, workflow_version)
    scope = await in_thread(_scope_to_start_in, user, scope_type, scope_id)
    if scope is None:
        return NOTHING_REUSED
    files = await in_thread(read_files, user=user, brief=input, root_id=scope.id)
    execution = new_execution(
        found.definition,
        execution_id=uuid7(),
        workflow_version=found.version,
        scope=scope,
        brief=input,
        now=now,
    )
    execution = replace(execution, reuse=Reuse.CURRENT)
    return await plan_reuse(execution, build_ports(), definition=found.definition, files=files)


def _scope_to_start_in(user: Person, scope_type: str, scope_id: str) -> ScopeRef | None:
    root = access.root_scope(user, scope_type=scope_type, scope_key=scope_id)
    need = NEEDED_ROLE[Action.START]
    if root is not None and not allows(have := access.role_of(user, root), need):
        raise access.scope_forbidden(root, have=have, need=need)
    return None if root is None else ScopeRef(id=root.id, type=root.type, key=root.key)


def _root_id(user: Person, scope_type: str | None, scope_id: str | None) -> UUID | None:
    if scope_type is None or scope_id is None:
        return None
    root = access.root_scope(user, scope_type=scope_type, scope_key=scope_id)
    return None if root is None else root.id


def _whole(workflow_id: str, version: int, steps: list[StepForecast], *, now: datetime, executions: int) -> Estimate:
    asked = dict.fromkeys(model for step in steps for model in step.models)
    return Estimate(
        workflow_id=workflow_id,
        workflow_version=version,
        calls=sum_of(step.calls for step in steps),
        input_tokens=sum_of(step.input_tokens for step in steps),
        output_tokens=sum_of(step.output_tokens for step in steps),
        cost_usd=total(step.cost_usd for step in steps),
        known_cost_usd=sum_of(step.cost_usd for step in steps if step.cost_usd is not None),
        unpriced_models=[model for model in asked if not prices.is_priced(model, at=now)],
        based_on_executions=executions,
        steps=steps,
    )


def _models(definition: WorkflowDefinition) -> dict[str, tuple[str, ...]]:
    """Return `provider:model` and its fallbacks for each model name in the definition."""
    resolve = build_ports().models.resolve
    return {name: resolve(name) for step in definition.steps for name in step.model_names}


def _executions(past: Mapping[str, StepHistory]) -> int:
    return max((step.executions for step in past.values()), default=0)


def _price(model: str, sent: int, written: int, *, dearest: bool, now: datetime) -> Decimal | None:
    if dearest:
        return prices.max_price(model, input_tokens=sent, output_tokens=written, at=now)
    provider, _, name = model.partition(":")
    return prices.price(
        provider=provider,
        model=name,
        input_tokens=sent,
        cache_read_input_tokens=0,
        cache_write_input_tokens=0,
        output_tokens=written,
        at=now,
    )


def _scope_documents(definition: WorkflowDefinition, root_id: UUID) -> dict[str, StoredDocument]:
    """Return the scope's documents that the workflow reads, by type."""
    heads = {kind: documents.newest_version(root_id, kind) for kind in definition.scope_documents}
    return {kind: head for kind, head in heads.items() if head is not None}


def _files_of(heads: Mapping[str, StoredDocument], root_id: UUID) -> dict[str, BriefFile]:
    """Return the files that documents were made from, by the documents' types."""
    ids = {kind: found for kind, head in heads.items() if (found := file_of(head.provenance)) is not None}
    files = {each.id: each for each in get_files([*ids.values()], root_id)}
    return {kind: files[found] for kind, found in ids.items() if found in files}
