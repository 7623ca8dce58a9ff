"""What a person gave stays when single sign-on takes what groups gave."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from django.db import transaction
from django.test import RequestFactory
from django.utils import timezone

from access import selectors, services
from access.audit import Act
from access.models import AuditEntry, Scope
from access.oidc.accounts import sign_on
from access.oidc.groups import Given, ScopeName
from access.oidc.identity import Identity
from access.people import invitations, roles
from access.permissions import Role
from access.user import User
from common.present_request import serving
from tests.support.two_connections import DEADLINE_SECONDS, blocked

pytestmark = pytest.mark.django_db

NONE = Given(roles={}, rights=frozenset())
PLACE: dict[str, Any] = {"scope_type": "project", "scope_key": "harbour"}


@pytest.fixture
def harbour(alice: User) -> Scope:
    return services.claim_root_scope(user=alice, **PLACE)


def log_in(role: str = "") -> User:
    given = Given(roles={ScopeName(type="project", key="harbour"): role}, rights=frozenset()) if role else NONE
    return sign_on(identity=Identity(issuer="https://id.example.org", subject="s-1", user_name="ada"), given=given)


def give(owner: User, user: User, role: str) -> None:
    roles.give_role(user=owner, username=user.username, role=Role(role), **PLACE)


def accept(owner: User, user: User, role: str) -> None:
    _, token = invitations.invite(user=owner, role=Role(role), now=timezone.now(), **PLACE)
    invitations.accept(user=user, token=token, now=timezone.now())


@pytest.mark.parametrize("way", [give, accept])
@pytest.mark.parametrize(
    ("by_group", "by_hand", "logins"),
    [
        ("reviewer", "reviewer", [("reviewer", "reviewer"), ("", "reviewer")]),
        ("reviewer", "operator", [("reviewer", "operator"), ("", "operator")]),
        ("operator", "viewer", [("", "viewer"), ("operator", "viewer")]),
        ("operator", "viewer", [("viewer", "viewer"), ("", "viewer")]),
    ],
)
def test_a_role_that_a_person_gives_stays_whatever_a_group_gave_before(
    alice: User, harbour: Scope, way: Any, by_group: str, by_hand: str, logins: list[tuple[str, str]]
) -> None:
    user = log_in(by_group)
    way(alice, user, by_hand)
    rows = AuditEntry.objects.filter(act=Act.ROLE_GIVE, subject_id=str(user.pk))
    assert rows.count() == 2, "the group's, and the person's"
    assert (rows.latest("id").part, rows.latest("id").root_id) == (by_hand, harbour.id)
    first, last = rows.earliest("id"), rows.latest("id")
    assert [(each.via, each.part) for each in (first, last)] == [("oidc", by_group), ("command", by_hand)]
    for wanted, role in logins:
        log_in(wanted)
        assert selectors.role_of(user, harbour) == role, wanted


def test_an_invitation_to_a_lower_role_counts_below_the_role_of_the_group(alice: User, harbour: Scope) -> None:
    user = log_in("operator")
    accept(alice, user, "viewer")
    accept(alice, user, "viewer")
    assert selectors.role_of(user, harbour) == Role.OPERATOR
    assert AuditEntry.objects.filter(act=Act.ROLE_GIVE).count() == 2
    log_in("reviewer")
    assert selectors.role_of(user, harbour) == Role.REVIEWER
    accept(alice, user, "operator")
    log_in()
    assert selectors.role_of(user, harbour) == Role.OPERATOR


def test_a_command_that_makes_a_superuser_gives_staff_for_good() -> None:
    staff = Given(roles={}, rights=frozenset({"staff"}))
    person = Identity(issuer="https://id.example.org", subject="s-1", user_name="ada")
    user = sign_on(identity=person, given=staff)
    services.ensure_user(name=user.username, superuser=True)
    assert sign_on(identity=person, given=NONE).is_staff


def test_the_audit_log_says_which_right_was_given_and_taken_and_that_the_provider_did(bob: User) -> None:
    request = RequestFactory().get("/login/single-sign-on/callback/")
    request.user = bob  # whom this browser was logged in as
    person = Identity(issuer="https://id.example.org", subject="s-1", user_name="ada")
    with serving(request):
        for rights in ({"staff", "author"}, {"author"}, set()):
            user = sign_on(identity=person, given=Given(roles={}, rights=frozenset(rights)))
    services.ensure_user(name=user.username, superuser=True)
    found = AuditEntry.objects.filter(subject_id=str(user.pk)).order_by("at", "id")
    assert [(row.act, row.part, row.via, row.user_id) for row in found] == [
        (Act.USER_ADD, "", "oidc", None),
        *((Act.USER_CHANGE, part, "oidc", None) for part in ("+staff", "+author", "-staff", "-author")),
        (Act.USER_CHANGE, "+superuser", "command", None),
    ]


def test_owners_read_which_role_was_offered_given_and_taken(alice: User, bob: User, harbour: Scope) -> None:
    accept(alice, bob, "operator")
    give(alice, bob, "viewer")
    roles.take_role(user=alice, username="bob", **PLACE)
    found = AuditEntry.objects.filter(root_id=harbour.id).exclude(part="").order_by("at", "id")
    assert [(row.act, row.part) for row in found] == [
        (Act.INVITATION_MAKE, "operator"),
        (Act.ROLE_GIVE, "operator"),
        (Act.INVITATION_ACCEPT, "operator"),
        (Act.ROLE_GIVE, "viewer"),
        (Act.ROLE_TAKE, "viewer"),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_login_and_an_owner_who_gives_roles_to_the_same_person_wait_for_each_other(alice: User) -> None:
    scope = services.claim_root_scope(user=alice, **PLACE)
    user = log_in("reviewer")
    with ExitStack() as stack:
        with transaction.atomic():
            give(alice, user, "operator")
            login = stack.enter_context(blocked(lambda: log_in("reviewer")))
            give(alice, user, "viewer")  # refers to the user once more, whom the login has locked
        login.result(DEADLINE_SECONDS)
    assert selectors.role_of(user, scope) == Role.VIEWER
