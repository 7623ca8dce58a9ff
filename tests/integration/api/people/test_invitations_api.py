"""Invitations over the API: made by owners, accepted once, withdrawn, and never told to others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.db import transaction
from django.utils import timezone

from access import url_secrets
from access.errors import InvitationEnded
from access.models import Invitation, KeptAnswer, ScopeRole
from access.people import invitations
from access.people.roles import give_role, take_role
from access.permissions import Role
from access.services import claim_root_scope, set_active
from access.user import User
from common.errors import NotFound
from orchestrator.asgi import application
from tests.factories.callers import Caller
from tests.support.two_connections import DEADLINE_SECONDS, blocked

pytestmark = pytest.mark.django_db

PLACE: dict[str, Any] = {"scope_type": "project", "scope_key": "alpha"}
INVITATIONS = "/scopes/project/alpha/invitations"


@pytest.fixture
def alpha(ada: Caller) -> Any:
    """The project of Ada."""
    return claim_root_scope(user=ada.user, **PLACE)


def invite(caller: Caller, role: str = "reviewer", **body: str) -> tuple[Any, str]:
    """Invite a person; return the answer's body and the token in its link."""
    response = caller.post(INVITATIONS, {"role": role, **body})
    assert response.status_code == 201, response.json()
    made = response.json()
    return made, made["url"].rstrip("/").rpartition("/")[2]


def accept(caller: Caller, token: str, **headers: str) -> Any:
    return caller.post("/invitations/accept", {"token": token}, **headers)


def role_of(user: User) -> str | None:
    return ScopeRole.objects.filter(user=user, scope__key="alpha").values_list("role", flat=True).first()


def verify(user: User, email: str) -> None:
    User.objects.filter(pk=user.pk).update(email=email, email_verified_at=timezone.now())


def test_an_invited_person_gets_the_role_once(alpha: Any, ada: Caller, eve: Caller, bob: User) -> None:
    made, token = invite(ada)
    assert made["url"].startswith("http://testserver/invitations/")
    assert len(token) == 22  # 128 bits
    accepted = accept(eve, token)
    assert accepted.json() == {"scope_type": "project", "scope_id": "alpha", "role": "reviewer"}
    again = accept(eve, token)
    assert (again.status_code, again.json()["code"], again.json()["invitation"]) == (410, "invitation-ended", "used")
    [listed] = ada.get(INVITATIONS).json()["data"]
    assert (listed["status"], listed["accepted_by"], listed["invited_by"]) == ("used", "eve", "ada")
    assert "url" not in listed
    assert role_of(eve.user) == "reviewer"


def test_the_token_is_stored_as_a_hash_alone(alpha: Any, ada: Caller) -> None:
    response = ada.post(INVITATIONS, {"role": "viewer"}, Idempotency_Key="once")
    token = response.json()["url"].rstrip("/").rpartition("/")[2]
    row = Invitation.objects.values().get()
    assert token not in str(row)
    assert row["token_hash"] == invitations.hash_token(token)
    assert token not in str([*KeptAnswer.objects.values()])
    repeated = ada.post(INVITATIONS, {"role": "viewer"}, Idempotency_Key="once")
    assert (repeated.status_code, repeated.json()["code"]) == (409, "idempotency-secret")
    assert Invitation.objects.count() == 1


def test_an_ended_invitation_gives_no_role_and_says_why(alpha: Any, ada: Caller, eve: Caller) -> None:
    made, withdrawn = invite(ada)
    assert [ada.delete(f"{INVITATIONS}/{made['id']}").status_code for _ in range(2)] == [204, 204]
    _, expired = invite(ada)
    Invitation.objects.filter(token_hash=invitations.hash_token(expired)).update(expires_at=timezone.now())
    for token, why in ((withdrawn, "withdrawn"), (expired, "expired")):
        answer = accept(eve, token)
        assert (answer.status_code, answer.json()["invitation"]) == (410, why)
    assert accept(eve, "x" * 22).status_code == 404
    assert role_of(eve.user) is None


def test_an_invitation_ends_with_the_right_of_its_inviter(
    alpha: Any, ada: Caller, eve: Caller, caller: Callable[..., Caller]
) -> None:
    give_role(user=ada.user, username="eve", role=Role.OWNER, **PLACE)
    _, token = invite(eve, "owner")
    _, other = invite(ada)
    take_role(user=ada.user, username="eve", **PLACE)
    answer = accept(eve, token)
    assert (answer.status_code, answer.json()["invitation"]) == (410, "withdrawn")
    assert [each["status"] for each in ada.get(INVITATIONS).json()["data"]] == ["open", "withdrawn"]
    give_role(user=ada.user, username="eve", role=Role.OWNER, **PLACE)
    set_active([ada.user.pk], is_active=False)
    assert accept(caller("bob"), other).status_code == 410
    assert role_of(eve.user) == "owner"


def test_an_address_counts_only_when_it_is_verified(alpha: Any, ada: Caller, eve: Caller) -> None:
    _, token = invite(ada, email="Eve@Example.org")
    User.objects.filter(pk=eve.user.pk).update(email="eve@example.org")
    refused = accept(eve, token)
    assert (refused.status_code, refused.json()["code"]) == (403, "invitation-for-another")
    verify(eve.user, "mallory@example.org")
    assert accept(eve, token).status_code == 403
    assert "Eve@Example.org" not in accept(eve, token).content.decode()
    verify(eve.user, "eve@example.org")
    assert accept(eve, token).status_code == 200


@pytest.mark.parametrize(
    ("before", "offered", "after"),
    [("owner", "viewer", "owner"), ("viewer", "operator", "operator"), ("reviewer", "reviewer", "reviewer")],
)
def test_an_invitation_never_lowers_a_role(
    alpha: Any, ada: Caller, eve: Caller, before: str, offered: str, after: str
) -> None:
    give_role(user=ada.user, username="eve", role=Role(before), **PLACE)
    _, token = invite(ada, offered)
    assert accept(eve, token).json()["role"] == after
    assert role_of(eve.user) == after
    assert accept(eve, token).status_code == 410


def test_others_learn_nothing_and_lower_roles_are_refused(alpha: Any, ada: Caller, eve: Caller) -> None:
    made, _ = invite(ada)

    def statuses() -> set[int]:
        return {
            eve.get(INVITATIONS).status_code,
            eve.post(INVITATIONS, {"role": "owner"}).status_code,
            eve.delete(f"{INVITATIONS}/{made['id']}").status_code,
        }

    assert statuses() == {404}
    give_role(user=ada.user, username="eve", role=Role.OPERATOR, **PLACE)
    assert statuses() == {403}
    claim_root_scope(user=eve.user, scope_type="project", scope_key="beta")
    assert eve.delete(f"/scopes/project/beta/invitations/{made['id']}").status_code == 404
    assert Invitation.objects.get().withdrawn_at is None


def test_bad_bodies_are_refused_and_open_invitations_are_limited(
    alpha: Any, ada: Caller, restrict: Callable[..., None]
) -> None:
    bad: list[dict[str, str]] = [{}, {"role": "king"}, {"role": "viewer", "email": "x"}, {"role": "viewer", "to": "x"}]
    assert [ada.post(INVITATIONS, body).status_code for body in bad] == [422] * len(bad)
    restrict(open_invitations=1)
    made, _ = invite(ada)
    refused = ada.post(INVITATIONS, {"role": "viewer"})
    assert (refused.status_code, refused.json()["code"]) == (409, "too-many-invitations")
    ada.delete(f"{INVITATIONS}/{made['id']}")
    invite(ada)


def test_acceptance_is_repeated_with_its_key_while_the_role_lasts(alpha: Any, ada: Caller, eve: Caller) -> None:
    _, token = invite(ada)
    first, second = (accept(eve, token, Idempotency_Key="k") for _ in range(2))
    assert (second.status_code, second.json()) == (200, first.json())
    assert second["Idempotency-Replayed"] == "true"
    take_role(user=ada.user, username="eve", **PLACE)
    assert accept(eve, token, Idempotency_Key="k").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_of_two_who_accept_at_once_one_gets_the_role(alice: User, bob: User) -> None:
    owner = User.objects.create_user("owner")
    claim_root_scope(user=owner, **PLACE)
    now = timezone.now()
    _, token = invitations.invite(user=owner, role=Role.VIEWER, now=now, **PLACE)
    with ExitStack() as stack:
        with transaction.atomic():
            invitations.accept(user=alice, token=token, now=now)
            other = stack.enter_context(blocked(lambda: invitations.accept(user=bob, token=token, now=now)))
        with pytest.raises(InvitationEnded):
            other.result(DEADLINE_SECONDS)
    assert (role_of(alice), role_of(bob)) == ("viewer", None)


def test_old_invitations_are_deleted(alpha: Any, ada: Caller, eve: Caller) -> None:
    _, token = invite(ada)
    now = timezone.now()
    for age, left in ((timedelta(days=29), 1), (timedelta(days=31), 0)):
        Invitation.objects.update(expires_at=now - age)
        invitations.remove_old(now=now)
        assert Invitation.objects.count() == left
    with pytest.raises(NotFound):
        invitations.accept(user=eve.user, token=token, now=now)


def test_the_secret_leaves_the_path_before_anything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    token = "t" * 22
    ends = ("", "/", "//", "/x", "/x/y", ".", "/\n")
    for path in (*(f"/invitations/{token}{end}" for end in ends), f"//invitations/{token}/", f"/invitations//{token}"):
        scope: dict[str, Any] = {"type": "http", "path": path, "raw_path": path.encode(), "query_string": b""}
        url_secrets.extract_invitation_token(scope)
        logging.getLogger("tests").warning("%s", scope)
        assert scope["path"] == url_secrets.hide_invitation_token(path) == "/invitations/token/", path
        assert url_secrets.hide_invitation_token(f"/%69{path.lstrip('/')[1:]}?a=b") == "/invitations/token/", path
    assert token not in caplog.text
    for path in ("/invitations/", "/api/v1/scopes/project/a/invitations/b", "/executions/"):
        assert url_secrets.hide_invitation_token(path) == path


async def test_a_link_over_http_leads_to_the_same_link_over_https(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    path = f"/invitations/{'t' * 22}/"
    headers = [(b"host", b"testserver")]
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
    communicator = ApplicationCommunicator(application, {**scope, "headers": headers})
    await communicator.send_input({"type": "http.request"})
    start = await communicator.receive_output(DEADLINE_SECONDS)
    await communicator.receive_output(DEADLINE_SECONDS)
    await communicator.wait(DEADLINE_SECONDS)
    found = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    assert (start["status"], found["location"]) == (301, f"https://testserver{path}")
    assert (found["referrer-policy"], found["cache-control"]) == ("no-referrer", "no-store")


@pytest.mark.parametrize(
    ("theirs", "invited"), [("strasse@example.org", "straße@example.org"), ("k@example.org", "\u212a@example.org")]
)
def test_addresses_are_compared_without_foreign_letters(
    alpha: Any, ada: Caller, eve: Caller, theirs: str, invited: str
) -> None:
    verify(eve.user, theirs)
    _, token = invitations.invite(user=ada.user, role=Role.VIEWER, email=invited, now=timezone.now(), **PLACE)
    assert accept(eve, token).status_code == 403
    verify(eve.user, invited.upper() if invited.isascii() else invited)
    assert accept(eve, token).status_code == 200


def test_invitations_of_former_owners_do_not_count_as_open(
    alpha: Any, ada: Caller, eve: Caller, restrict: Callable[..., None]
) -> None:
    ada.put("/scopes/project/alpha/roles/eve", {"role": "owner"})
    restrict(open_invitations=1)
    invite(eve)
    assert ada.post(INVITATIONS, {"role": "viewer"}).status_code == 409
    ada.put("/scopes/project/alpha/roles/eve", {"role": "viewer"})
    invite(ada)


@pytest.mark.django_db(transaction=True)
def test_an_invitation_that_is_deleted_meanwhile_is_not_found(alice: User, bob: User) -> None:
    claim_root_scope(user=alice, **PLACE)
    row, token = invitations.invite(user=alice, role=Role.VIEWER, now=timezone.now(), **PLACE)
    with ExitStack() as stack:
        with transaction.atomic():
            Invitation.objects.filter(id=row.id).delete()
            accepting = partial(invitations.accept, user=bob, token=token, now=timezone.now())
            other = stack.enter_context(blocked(accepting))
        with pytest.raises(NotFound):
            other.result(DEADLINE_SECONDS)
