from __future__ import annotations

from dataclasses import replace

import pytest

from access import selectors
from access.models import ExternalAccount, Scope, ScopeRole
from access.oidc.accounts import sign_on
from access.oidc.faults import LoginFailed
from access.oidc.groups import Given, ScopeName
from access.oidc.identity import Identity
from access.permissions import Role
from access.user import User
from tests.factories.executions import together

ADA = Identity(issuer="https://id.example.org", subject="s-1", user_name="ada", email="ada@example.org")
NONE = Given(roles={}, rights=frozenset())
HARBOUR = ScopeName(type="project", key="harbour")
REVIEWER = Given(roles={HARBOUR: "reviewer"}, rights=frozenset())
STAFF = Given(roles={}, rights=frozenset({"staff"}))


@pytest.fixture
def harbour(db: None) -> Scope:
    return Scope.objects.create(parent=None, type="project", key="harbour")


def role(user: User, scope: Scope) -> Role | None:
    return selectors.role_of(User.objects.get(pk=user.pk), scope)


@pytest.mark.django_db
def test_a_user_is_found_by_issuer_and_subject_and_by_nothing_else() -> None:
    taken = User.objects.create_user("Ada", email=ADA.email)
    first = sign_on(identity=ADA, given=NONE)
    assert first.pk != taken.pk
    assert (first.username, first.email, first.has_usable_password()) == ("ada-2", ADA.email, False)
    changed = replace(ADA, user_name="countess", email="new@example.org", first_name="Ada")
    again = sign_on(identity=changed, given=NONE)
    assert (again.pk, again.username, again.first_name) == (first.pk, "ada-2", "Ada")
    assert again.email == ADA.email, "an address counts when the provider has verified it"
    assert sign_on(identity=replace(changed, is_email_verified=True), given=NONE).email == "new@example.org"
    for claim in ({"denies_email": True}, {"email": "third@example.org"}):
        sign_on(identity=replace(changed, is_email_verified=True), given=NONE)
        assert sign_on(identity=changed, given=NONE).email_verified_at is not None, "nothing is said about it"
        assert sign_on(identity=replace(changed, **claim), given=NONE).email_verified_at is None
    elsewhere = sign_on(identity=replace(ADA, issuer="https://elsewhere.example"), given=NONE)
    assert elsewhere.pk not in (first.pk, taken.pk)


@pytest.mark.django_db
def test_groups_give_roles_change_them_and_take_them(harbour: Scope) -> None:
    user = sign_on(identity=ADA, given=NONE)
    assert role(user, harbour) is None
    for wanted in ("reviewer", "reviewer", "operator", "viewer"):
        sign_on(identity=ADA, given=Given(roles={HARBOUR: wanted}, rights=frozenset()))
        assert role(user, harbour) == wanted
    sign_on(identity=ADA, given=NONE)
    assert role(user, harbour) is None
    missing = ScopeName(type="project", key="not-begun")
    sign_on(identity=ADA, given=Given(roles={missing: "viewer"}, rights=frozenset()))
    assert not Scope.objects.filter(key="not-begun").exists()


@pytest.mark.django_db
@pytest.mark.parametrize("by_hand", ["owner", "viewer"])
def test_a_role_that_a_person_gave_stays(harbour: Scope, by_hand: str) -> None:
    user = sign_on(identity=ADA, given=NONE)
    ScopeRole.objects.create(scope=harbour, user=user, role=by_hand)
    for given in (REVIEWER, NONE):
        sign_on(identity=ADA, given=given)
        assert role(user, harbour) == by_hand


@pytest.mark.django_db
def test_the_right_of_staff_is_given_and_taken_unless_a_person_gave_it() -> None:
    user = sign_on(identity=ADA, given=STAFF)
    assert user.is_staff
    assert not user.is_superuser
    assert not sign_on(identity=ADA, given=NONE).is_staff
    User.objects.filter(pk=user.pk).update(is_staff=True)
    for given in (NONE, STAFF, NONE):
        assert sign_on(identity=ADA, given=given).is_staff


@pytest.mark.django_db
def test_a_deactivated_user_gets_nothing(harbour: Scope) -> None:
    user = sign_on(identity=ADA, given=NONE)
    User.objects.filter(pk=user.pk).update(is_active=False)
    with pytest.raises(LoginFailed, match="deactivated"):
        sign_on(identity=replace(ADA, first_name="Eve"), given=REVIEWER)
    assert role(user, harbour) is None
    assert User.objects.get(pk=user.pk).first_name == ""


@pytest.mark.django_db(transaction=True)
def test_first_logins_at_once_make_one_user(harbour: Scope) -> None:
    assert set(together(*[lambda: sign_on(identity=ADA, given=REVIEWER).pk] * 8)) == {User.objects.get().pk}
    assert User.objects.count() == ExternalAccount.objects.count() == ScopeRole.objects.count() == 1
