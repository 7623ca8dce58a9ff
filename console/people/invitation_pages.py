"""The page of an invitation, also for people without an account.

The link holds a secret. It leads to a page without it: the session keeps the hash by which the invitation is found. So
neither the history of the browser, nor a `Referer`, nor the address of a login has the secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate, login
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.utils.translation import gettext
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_http_methods, require_safe

from access.errors import InvitationEnded, InvitationForAnother, NameTaken
from access.people import accounts, invitations
from access.people.invitations import Invitation
from access.services import BadName, BadPassword, store_login
from access.user import User
from common.database.server import database_now
from common.errors import Forbidden, NotFound
from common.present_request import network_of
from console.language.choice import in_language
from console.scopes.addresses import path_of_scope

_KEY = "invitation"  # in the session
_SALT = "console.invitation"
_BACKEND = "access.passwords.backend.PasswordBackend"
_NO_REFERRER = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


@require_safe
@in_language
def follow_link(request: HttpRequest, token: str) -> HttpResponse:
    """Remember the invitation in this browser, and lead to its page."""
    token = invitations.invitation_token(request, token)
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        host = settings.SECURE_SSL_HOST or request.get_host()
        path = resolve_url("console:invitation-link", token=token)
        return _without_secret(HttpResponsePermanentRedirect(f"https://{host}{path}"))
    token_hash = invitations.hash_token(token)
    if invitations.find_by_hash(token_hash) is None:
        return _without_secret(
            _message(request, gettext("There is no such invitation. Is the link complete?"), status=404)
        )
    request.session[_KEY] = token_hash
    return _without_secret(HttpResponseRedirect(resolve_url("console:invitation")))


def _without_secret(response: HttpResponse) -> HttpResponse:
    for name, value in _NO_REFERRER.items():
        response[name] = value
    return response


@ensure_csrf_cookie
@require_http_methods(["GET", "HEAD", "POST"])
@in_language
def invitation(request: HttpRequest) -> HttpResponse:
    """Show the invitation that this browser has opened, or accept it: logged in, by a login, or with a new account."""
    row = invitations.find_by_hash(request.session.get(_KEY, ""))
    if (answer := _again(request, row or _named_by_form(request))) is not None:
        return answer
    if row is None:
        return _message(request, gettext("Open the link of your invitation again."), status=404)
    try:
        invitations.require_open(row, now=database_now())
        if request.method == "POST":
            _require_same_user(request)
            return _ACTS.get(request.POST.get("do", ""), _accept)(request, row)
    except (InvitationEnded, NotFound) as error:
        return _message(request, gettext(str(error)), status=410, was_used=row.accepted_at is not None)
    except Forbidden as error:
        return _page(request, row, status=403, fault=gettext(str(error)))
    return _page(request, row)


def _named_by_form(request: HttpRequest) -> Invitation | None:
    """Return the invitation that a form names: after a lost answer the browser has the form, and an old session."""
    try:
        return invitations.find_by_hash(str(signing.loads(request.POST.get("invitation", ""), salt=_SALT)))
    except signing.BadSignature:
        return None


def _again(request: HttpRequest, row: Invitation | None) -> HttpResponse | None:
    """Lead on if this very person has accepted the invitation before: a form was sent or a link was opened again."""
    if row is None or row.accepted_by_id is None:
        return None
    if isinstance(request.user, User):
        return _leave(request, row) if request.user.pk == row.accepted_by_id else None
    if request.POST.get("do") not in _ACTS:
        return None
    user = _checked_user(request)
    if user is None or user.pk != row.accepted_by_id:
        return None
    login(request, user)
    store_login(request)
    return _leave(request, row)


def _require_same_user(request: HttpRequest) -> None:
    """Check that a login or a new account does not end the session of another user in this browser.

    Raises:
        Forbidden: another user is logged in.
    """
    if isinstance(request.user, User) and request.POST.get("do") in _ACTS:
        sentence = gettext("%(name)s is logged in here. Log out first, or accept as this user.")
        raise Forbidden(sentence % {"name": request.user.get_username()})


def _checked_user(request: HttpRequest) -> User | None:
    """Return the user whose name and password the form has."""
    name = User.normalize_username(request.POST.get("username", "").strip())
    user = authenticate(request, username=name, password=request.POST.get("password", ""))
    return user if isinstance(user, User) else None


def _accept(request: HttpRequest, row: Invitation) -> HttpResponse:
    """Accept it as the user who is logged in.

    Raises:
        InvitationForAnother: it is for another address. InvitationEnded: another request was faster.
    """
    if not isinstance(request.user, User):
        return _page(
            request, row, status=403, fault=gettext("Your session has ended. Log in to accept the invitation.")
        )
    invitations.accept_by_hash(user=request.user, token_hash=row.token_hash, now=database_now())
    return _leave(request, row)


def _log_in(request: HttpRequest, row: Invitation) -> HttpResponse:
    """Log in, and accept it."""
    user = _checked_user(request)
    if user is None:
        return _page(request, row, status=422, login_fault=gettext("Wrong name or password."))
    login(request, user)
    store_login(request)
    return _accept(request, row)


def _create_account(request: HttpRequest, row: Invitation) -> HttpResponse:
    """Make an account, and accept it with that.

    Raises:
        Forbidden: accounts are made by staff here. InvitationForAnother: it is for an address.
    """
    if not settings.INVITATIONS_CREATE_ACCOUNTS:
        raise Forbidden(gettext("Accounts are made by an administrator here."))
    if row.email:
        raise InvitationForAnother
    name, password = request.POST.get("username", ""), request.POST.get("password", "")
    if password != request.POST.get("password_again", ""):
        return _page(request, row, status=422, account_fault=gettext("The two passwords differ."))
    try:
        user = accounts.join_as_new(
            name=name,
            password=password,
            token_hash=row.token_hash,
            network=network_of(request),
            now=database_now(),
        )
    except (BadName, BadPassword, NameTaken) as error:
        return _page(request, row, status=422, account_fault=gettext(str(error)))
    login(request, user, backend=_BACKEND)
    store_login(request)
    return _leave(request, row)


#: What the page's forms ask for; any other value accepts as the user who is logged in.
_ACTS: Mapping[str, Callable[[HttpRequest, Invitation], HttpResponse]] = {
    "login": _log_in,
    "create": _create_account,
}


def _leave(request: HttpRequest, row: Invitation) -> HttpResponse:
    """Forget the invitation, and lead to its scope, whose page says what the user may do now."""
    request.session.pop(_KEY, None)  # a login in this browser may have ended that session
    return HttpResponseRedirect(f"{path_of_scope(row.scope)}?joined=")


def _page(request: HttpRequest, row: Invitation, *, status: int = 200, **faults: str) -> HttpResponse:
    context: dict[str, Any] = {
        "invitation": row,
        "inviter": row.invited_by,
        "may_create": settings.INVITATIONS_CREATE_ACCOUNTS and not row.email,
        "username": request.POST.get("username", ""),
        "signed": signing.dumps(row.token_hash, salt=_SALT),
        "provider": settings.OIDC_NAME if settings.OIDC_ENABLED else "",
        **faults,
    }
    if isinstance(request.user, User) and not invitations.is_for(row, request.user):
        context["fault"] = gettext(str(InvitationForAnother()))
        context["is_for_another"] = True
    return render(request, "console/invitation.html", context, status=status)


def _message(request: HttpRequest, detail: str, *, status: int, was_used: bool = False) -> HttpResponse:
    context = {"detail": detail, "was_used": was_used}
    return render(request, "console/invitation_ended.html", context, status=status)
