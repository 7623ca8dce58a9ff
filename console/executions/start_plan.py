"""What would happen if the form were sent: in which scope it starts, what is reused, and the expected cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from django.utils.translation import gettext

from access.permissions import NEEDED_ROLE, Action, Role, allows
from access.selectors import role_of, root_scope, roots_with_roles
from common.database.server import database_now
from common.errors import Conflict, DomainError, Forbidden, Gone, Invalid, NotFound
from console.executions.start_form import Filled
from documents.search.lists import DocumentQuery
from documents.search.pages import newest_page
from executions.engine.domain.states import Reuse
from executions.engine.estimation import StepForecast
from executions.services import estimates
from executions.services.estimates import Estimate
from workflows.definitions.definition import BriefPolicy

#: Why no estimate is made.
_REFUSALS = (Invalid, Conflict, Gone, NotFound, Forbidden)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The scope that the form names."""

    type: str
    key: str
    is_new: bool
    needs_tick: bool  # before a new one is made
    is_ticked: bool
    similar: str  # key of an own scope that may be meant; empty: none
    refusal: str  # why nothing can be started there; empty: it can
    has_documents: bool

    @property
    def name(self) -> str:
        """What a tick for a new scope names: another key needs another tick."""
        return f"{self.type}/{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The estimate, or why there is none."""

    estimate: Estimate | None = None
    names: dict[str, str]  # of steps, by id
    reason: str = ""
    is_over_budget: bool = False

    @property
    def reused(self) -> list[str]:
        """Names of the steps whose documents are reused."""
        return [self.names[each.step_id] for each in self._steps if each.reused]

    @property
    def paid(self) -> list[str]:
        """Names of the steps that call a model."""
        return [self.names[each.step_id] for each in self._steps if each.calls.high > 0]

    @property
    def calls(self) -> int:
        """The expected number of calls."""
        return 0 if self.estimate is None else round(self.estimate.calls.likely)

    @property
    def has_range(self) -> bool:
        """Whether the cost may differ from what is expected."""
        span = None if self.estimate is None else self.estimate.cost_usd
        return span is not None and span.low != span.high

    @property
    def _steps(self) -> list[StepForecast]:
        return [] if self.estimate is None else self.estimate.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would happen."""

    target: Target | None  # None: none is named yet
    expected: Expected | None = None  # None: it was not asked for
    can_reuse: bool = False
    wants_reuse: bool = False  # a dry run keeps the wish, and makes everything
    is_dry_run: bool = False

    @property
    def reuses(self) -> bool:
        """Whether the execution would use what is current."""
        return self.can_reuse and self.wants_reuse and not self.is_dry_run


def target_of(request: HttpRequest, filled: Filled) -> Target | None:
    """Return the scope that a form names; None without a valid name. The form was validated."""
    given = filled.form.cleaned_data
    kind, key = given.get("scope_type"), given.get("scope_id")
    if not kind or not key:
        return None
    root, refusal, has_documents = root_scope(request.user, scope_type=kind, scope_key=key), "", False
    if root is not None:
        need, have = NEEDED_ROLE[Action.START], role_of(request.user, root)
        if not allows(have, need):
            refusal = gettext("Your role in this scope is %(have)s. A start needs the role %(need)s.") % {
                "have": "" if have is None else have.value,
                "need": need.value,
            }
        query = DocumentQuery(scope_type=kind, scope_id=key)
        has_documents = bool(newest_page(user=request.user, query=query, limit=1, after=None).documents)
    return Target(
        type=kind,
        key=key,
        is_new=root is None,
        needs_tick=root is None and _has_scopes(request),
        is_ticked=given.get("new_scope") == f"{kind}/{key}",
        similar=_similar(kind, key, filled.form.scopes) if root is None else "",
        refusal=refusal,
        has_documents=has_documents,
    )


def _has_scopes(request: HttpRequest) -> bool:
    """Whether the person knows a scope whose name can be mistyped: the first scope of all needs no tick."""
    return roots_with_roles(request.user, [Role.VIEWER])[Role.VIEWER] != []


def _similar(kind: str, key: str, known: list[tuple[str, str]]) -> str:
    own = {other.casefold(): other for type_, other in known if type_ == kind}
    return next((own[each] for each in get_close_matches(key.casefold(), own, n=1, cutoff=0.75)), "")


def plan_of(request: HttpRequest, filled: Filled, target: Target | None, *, is_estimated: bool) -> Plan:
    """Return what would happen if the form were sent. The form was validated."""
    plan = Plan(
        target=target,
        can_reuse=target is not None and target.has_documents and not target.refusal,
        wants_reuse=filled.form.cleaned_data.get("reuse") == Reuse.CURRENT.value,
        is_dry_run=filled.is_dry_run,
    )
    return replace(plan, expected=_expected(request, filled, target, reuses=plan.reuses)) if is_estimated else plan


def _expected(request: HttpRequest, filled: Filled, target: Target | None, *, reuses: bool) -> Expected:
    definition = filled.definition
    if definition is None:
        return Expected(names={}, reason=gettext("Choose a workflow: then the expected cost stands here."))
    names = {step.id: step.name for step in definition.steps}
    if filled.brief is None and definition.brief is BriefPolicy.REQUIRED:
        return Expected(names=names, reason=gettext("Write the brief: then the expected cost stands here."))
    asked: dict[str, Any] = {"user": request.user, "workflow_id": definition.id, "input": filled.brief}
    where = {} if target is None else {"scope_type": target.type, "scope_id": target.key}
    asked |= {"now": database_now(), **where}
    try:
        reusable = async_to_sync(estimates.find_reusable)(**asked) if reuses else estimates.NOTHING_REUSED
        found = estimates.estimate(**asked, reuse=reusable)
    except _REFUSALS as error:
        return Expected(names=names, reason=_reason(error))
    limit = filled.form.budget.get("max_cost_usd")
    return Expected(
        estimate=found, names=names, is_over_budget=limit is not None and found.known_cost_usd.likely > limit
    )


def _reason(error: DomainError) -> str:
    return gettext("The cost is not known yet.") + " " + gettext(error.explanation)
