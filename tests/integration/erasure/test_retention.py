"""How long executions are kept: settings of scopes and workflows, the worker's duty, and `manage.py prune`."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from access.models import AuditEntry
from access.permissions import Role
from executions.db_threads import in_thread
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import Erasing
from executions.models import Execution as Row
from executions.models import ScopeRetention
from executions.persistence import repositories
from executions.services.erasure import executions as erasing
from executions.services.erasure import retention
from tests.factories import reports
from tests.factories.callers import Caller, make_caller
from tests.integration.api.checks import grant, pointers
from tests.integration.worker.test_worker import until, working
from tests.support.two_connections import elsewhere
from workflows import repository as workflows
from workflows.definitions.definition import WorkflowDefinition

ALPHA = "/scopes/project/alpha"


def keep(caller: Caller, days: object, key: str = "alpha", **headers: str) -> Any:
    return caller.put(f"/scopes/project/{key}/retention", {"days": days}, **headers)


def ended(caller: Caller, days_ago: float, key: str = "alpha") -> UUID:
    """Return an execution that ended some days ago."""
    execution = reports.finish(reports.start(caller.user, key))
    Row.objects.filter(id=execution.id).update(finished_at=timezone.now() - timedelta(days=days_ago))
    return execution.id


def erase_old(now: datetime | None = None) -> int:
    """Do what a worker's duty does, on the connection of the test."""
    return sum(each.number for each in retention.erase_due(now=now or timezone.now()))


def erased() -> set[UUID]:
    return set(Row.objects.filter(erased_at__isnull=False).values_list("id", flat=True))


def kept_for(days: int | None) -> WorkflowDefinition:
    return reports.definition(f"Kept for {days} days.").model_copy(update={"retention_days": days})


def prune(**options: Any) -> str:
    out = StringIO()
    call_command("prune", stdout=out, **options)
    return out.getvalue()


@pytest.mark.django_db
def test_an_owner_sets_changes_and_removes_it(ada: Caller, eve: Caller, report: int) -> None:
    reports.start(ada.user)
    assert ada.get(ALPHA).json()["retention"] == {"days": None, "version": None}
    made = keep(ada, 30)
    assert (made.status_code, made.json(), made.headers["ETag"][:3]) == (200, {"days": 30, "version": 1}, '"1.')
    assert keep(ada, 30).json()["version"] == 1
    assert keep(ada, 60, If_Match='"1"').json() == {"days": 60, "version": 2}
    assert keep(ada, 90, If_Match='"1"').status_code == 412
    assert ada.get(ALPHA).json()["retention"] == {"days": 60, "version": 2}
    assert "set_retention" in ada.get(ALPHA).json()["may"]
    assert keep(ada, None).json() == {"days": None, "version": 3}
    assert keep(ada, None).json() == {"days": None, "version": 3}
    assert ScopeRetention.objects.get().days is None
    assert keep(ada, 30, If_Match='"1"').status_code == 412
    assert keep(ada, 30, If_Match='"3"').json() == {"days": 30, "version": 4}
    assert AuditEntry.objects.filter(act="scope.retention").count() == 4
    assert keep(eve, 1).status_code == 404
    grant(eve.user, "alpha", Role.OPERATOR)
    assert keep(eve, 1).status_code == 403
    assert "set_retention" not in eve.get(ALPHA).json()["may"]


@pytest.mark.django_db
@pytest.mark.parametrize("days", [0, -1, 36_501, "30", 1.5, True])
def test_other_numbers_are_refused(ada: Caller, report: int, days: object) -> None:
    reports.start(ada.user)
    assert pointers(keep(ada, days)) == {"/days"}


@pytest.mark.django_db
def test_what_ended_longer_ago_is_erased_and_nothing_else(ada: Caller, report: int) -> None:
    old, new, other = ended(ada, 31), ended(ada, 29), ended(ada, 31, "beta")
    waiting = reports.ask(reports.start(ada.user))
    Row.objects.filter(id=waiting.id).update(created_at=timezone.now() - timedelta(days=400))
    keep(ada, 30)
    assert erase_old() == 1
    assert erased() == {old}
    assert not {new, other, waiting.id} & erased()
    [entry] = AuditEntry.objects.filter(act="execution.erase")
    assert (entry.subject_id, entry.user_id, entry.via) == (str(old), None, "command")
    assert erase_old() == 0


@pytest.mark.django_db
def test_a_workflow_says_it_for_its_own_version(ada: Caller, report: int) -> None:
    before = ended(ada, 400)
    workflows.publish(kept_for(30), now=timezone.now())
    old, new = ended(ada, 31), ended(ada, 29)
    workflows.publish(kept_for(None), now=timezone.now())
    after = ended(ada, 400)
    assert erase_old() == 1
    assert erased() == {old}
    assert not {before, new, after} & erased()


@pytest.mark.django_db
@pytest.mark.parametrize(("days", "goes"), [(365, False), (10, True)])
def test_the_scope_decides_before_the_workflow(ada: Caller, report: int, days: int, goes: bool) -> None:
    workflows.publish(kept_for(30), now=timezone.now())
    one, two = ended(ada, 31), ended(ada, 31, "beta")
    keep(ada, days)
    erase_old()
    assert erased() == ({one, two} if goes else {two})


@pytest.mark.django_db
def test_a_setting_that_was_removed_leaves_it_to_the_workflow(ada: Caller, report: int) -> None:
    workflows.publish(kept_for(30), now=timezone.now())
    old = ended(ada, 31)
    keep(ada, 365)
    keep(ada, None)
    assert "scope project/alpha" not in prune(dry_run=True)
    assert erase_old() == 1
    assert erased() == {old}


@pytest.mark.django_db
def test_the_command_says_what_it_would_do_and_does_it(ada: Caller, report: int) -> None:
    assert "No scope and no workflow has a retention." in prune()
    old = ended(ada, 31)
    workflows.publish(kept_for(7), now=timezone.now())
    ended(ada, 8, "beta")
    keep(ada, 30)
    printed = prune(dry_run=True)
    assert "scope project/alpha, 30 days: 1 executions that ended before" in printed
    assert "workflow report, version 2, 7 days: 1 executions" in printed
    assert printed.endswith("2 executions would be erased.\n")
    assert erased() == set()
    assert prune().endswith("2 executions were erased.\n")
    assert old in erased()
    assert prune().endswith("0 executions were erased.\n")


@pytest.mark.django_db
@pytest.mark.parametrize("days", [None, 365])
def test_a_retention_that_changes_while_it_is_carried_out_counts_at_once(
    ada: Caller, report: int, days: int | None
) -> None:
    oldest, next_one = ended(ada, 33), ended(ada, 32)
    keep(ada, 30)
    now = timezone.now()
    [policy] = [each.policy for each in retention.due(now=now)]
    assert retention.erase_next_due(policy, now=now)
    keep(ada, days)
    assert not retention.erase_next_due(policy, now=now)
    assert erased() == {oldest}
    keep(ada, 31)
    assert retention.erase_next_due(policy, now=now)
    assert erased() == {oldest, next_one}


@pytest.mark.django_db(transaction=True)
def test_two_workers_leave_each_other_what_they_have_begun(ada: Caller, report: int) -> None:
    ids = {ended(ada, 31), ended(ada, 32)}
    keep(ada, 30)
    now = timezone.now()
    with transaction.atomic():
        [policy] = [each.policy for each in retention.due(now=now)]
        [mine] = policy.lock_due(now=now, limit=1)
        assert elsewhere(lambda: erase_old(now)) == 1
        assert erased() == ids - {mine}
    assert erase_old(now) == 1
    assert erased() == ids
    assert AuditEntry.objects.filter(act="execution.erase").count() == 2


@pytest.mark.django_db(transaction=True)
async def test_a_worker_erases_what_is_due_and_what_was_begun() -> None:
    def prepare() -> set[UUID]:
        ada = make_caller("ada")
        reports.publish()
        begun, old = ended(ada, 1), ended(ada, 31)
        keep(ada, 30)
        with transaction.atomic():
            erasing.begin(repositories.lock(begun), Erasing.ALL, now=timezone.now())
        return {begun, old}

    ids = await in_thread(prepare)
    async with working():
        await until(lambda: erased() == ids and not Row.objects.exclude(erasing="").exists())


@pytest.mark.django_db
def test_a_retry_is_kept_from_its_new_end_on(ada: Caller, report: int) -> None:
    execution: Execution = reports.fail(reports.start(ada.user))
    Row.objects.filter(id=execution.id).update(finished_at=timezone.now() - timedelta(days=31))
    keep(ada, 30)
    assert ada.post(f"/executions/{execution.id}/retry", {}).status_code == 200
    assert erase_old() == 0


@pytest.mark.django_db
def test_the_page_of_a_scope_says_how_long_it_keeps_executions(ada: Caller, report: int) -> None:
    reports.start(ada.user)
    browser = Client()
    browser.force_login(ada.user)
    assert "Kept for" not in browser.get("/scopes/project/alpha/").content.decode()
    keep(ada, 30)
    assert "<dt>Kept for</dt><dd>30 days" in browser.get("/scopes/project/alpha/").content.decode()
