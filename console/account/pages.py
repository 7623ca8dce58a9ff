"""The page of a user's own account, and the acts of its forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib.auth import authenticate, update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import get_language, gettext

from access.account import selectors, services
from access.errors import Busy, TooManyTries
from access.idempotency import run_form_once
from access.user import User
from common.database.server import database_now
from common.errors import Conflict, Invalid, NotFound
from console.account.forms import RIGHTS, PasswordForm, ProfileForm, TokenForm, zones
from console.edit_pages import person
from console.language.choice import language_of
from console.scopes.addresses import path_of_scope
from console.shell import STORED, form_view, show_page, stored
from executions.selectors import scopes

MAX_LISTED = 100  # tokens and sessions that the page shows
MAX_SCOPES = 200  # scopes that the form of a token offers


@dataclass(slots=True, kw_only=True)
class Shown:
    """What the page shows after a form was sent."""

    section: str = ""  # in which it was
    told: str = ""
    secret: str = ""  # a new token; it is shown only once
    form: forms.Form | None = None  # with its faults
    code: int = 200


@form_view
def account(request: HttpRequest) -> HttpResponse:
    """Render the user's account."""
    return _show(request, Shown())


@form_view
def profile(request: HttpRequest) -> HttpResponse:
    """Change name, language and time zone."""
    form = ProfileForm(request.POST)
    shown = Shown(section="profile", form=form)

    def change() -> str:
        request.user = services.change_profile(user=person(request), **form.cleaned_data)
        return gettext("Stored.")

    _act(request, shown, change)
    if shown.told and language_of(request) != get_language():
        return stored(request, reverse("console:account"))  # the whole page is in another language now
    return _show(request, shown)


@form_view
def password(request: HttpRequest) -> HttpResponse:
    """Change the password. No hash of the form is stored, so it has no key: a repeated one needs the new password."""
    form = PasswordForm(request.POST)
    shown = Shown(section="password", form=form)

    def change() -> str:
        _change_password(request, **form.cleaned_data)
        return gettext("The password was changed. Your tokens and your other sessions have ended.")

    _act(request, shown, change, is_kept=False)
    return _show(request, shown)


def _change_password(request: HttpRequest, *, old_password: str, new_password: str, new_password_again: str) -> None:
    """Change the password of the user.

    Raises:
        _Refused: the present password is wrong, or cannot be checked now.
        Invalid: a validator rejects the new one.
    """
    services.check_new_password(user=person(request), password=new_password)
    try:
        user = authenticate(request, username=person(request).get_username(), password=old_password)
    except (TooManyTries, Busy) as error:
        raise _Refused("old_password", gettext(str(error))) from error
    if not isinstance(user, User):
        raise _Refused("old_password", gettext("This is not your password."))
    try:
        services.change_password(user=user, password=new_password, session_key=request.session.session_key)
    except Conflict as error:
        raise _Refused("old_password", gettext(str(error))) from error
    update_session_auth_hash(request, user)


class _Refused(Exception):
    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@form_view
def make_token(request: HttpRequest) -> HttpResponse:
    """Make a token. Its text is in this answer alone: the server stores a hash of it."""
    if request.POST.get("show") == "draft":
        return _show(request, Shown(section="tokens", form=_token_form(request, request.POST, is_draft=True)))
    form = _token_form(request, request.POST)
    shown = Shown(section="tokens", form=form)

    def make() -> str:
        _, shown.secret = services.make_token(user=person(request), now=database_now(), **form.given)
        return gettext("The token was made.")

    _act(request, shown, make)
    if shown.told and not shown.secret:
        shown.told = gettext("This token was made already. Its text was shown once. Revoke it, and make a new one.")
    return _show(request, shown)


@form_view
def revoke_token(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Revoke a token."""
    shown = Shown(section="tokens")

    def revoke() -> str:
        services.revoke_own_token(user=person(request), token_id=token_id, now=database_now())
        return gettext("The token was revoked.")

    _act(request, shown, revoke, gone=gettext("This token had ended already."))
    return _show(request, shown)


@form_view
def end_session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """End a session."""
    shown = Shown(section="sessions")

    def end() -> str:
        services.end_own_session(user=person(request), session_id=session_id, now=database_now())
        return gettext("The session was ended.")

    _act(request, shown, end, gone=gettext("This session had ended already."))
    return _show(request, shown)


def _act(request: HttpRequest, shown: Shown, act: Callable[[], str], *, is_kept: bool = True, gone: str = "") -> None:
    """Do what a form asks for, and note what came of it. Refusals are said beside the field."""
    form = shown.form
    if request.method != "POST" or (form is not None and not form.is_valid()):
        shown.code = 422 if request.method == "POST" else 200
        if request.method != "POST":
            shown.form = None
        return
    try:
        shown.told = str(run_form_once(request, act) if is_kept else act())
    except Invalid as error:
        for each in error.errors:
            _refuse(form, each.pointer.removeprefix("/"), gettext(each.detail))
    except _Refused as error:
        _refuse(form, error.field, str(error))
    except NotFound:
        shown.told = gone or gettext("Not found.")
    if form is not None and form.errors:
        shown.code = 422
    else:
        shown.form = None


def _refuse(form: forms.Form | None, field: str, sentence: str) -> None:
    if form is not None:
        known = {"scope_id": "scope", "scope_type": "scope"}.get(field, field)
        form.add_error(known if known in form.fields else None, sentence)


def _token_form(request: HttpRequest, given: Any = None, *, is_draft: bool = False) -> TokenForm:
    """Return the form of a token, with the scopes of the user."""
    rows = scopes.roots(user=request.user).order_by("type", "key")[:MAX_SCOPES]
    options: dict[str, Any] = {"scopes": list(rows), "lifetime": services.longest_lifetime()}
    if is_draft:
        return TokenForm(initial={**given.dict(), "rights": given.getlist("rights")}, **options)
    return TokenForm(given, **options)


def _show(request: HttpRequest, shown: Shown) -> HttpResponse:
    found, now = selectors.account(person(request)), database_now()
    form = shown.form
    key = request.session.session_key
    sessions = list(selectors.own_sessions(found.user, now=now).order_by("-id")[:MAX_LISTED])
    present = {
        "name": found.user.get_full_name(),
        "language": found.user.language,
        "time_zone": found.user.time_zone,
    }
    response = show_page(
        request,
        "console/account/account.html",
        status=shown.code,
        section="account",
        account=found,
        roles=[(each, path_of_scope(each.scope)) for each in found.roles],
        tokens=selectors.own_tokens(found.user, now=now).order_by("-id")[:MAX_LISTED],
        sessions=[(each, each.session_id == key) for each in sessions],
        rights=dict(RIGHTS),
        zones=zones(),
        languages=settings.LANGUAGES,
        profile_form=form if isinstance(form, ProfileForm) else ProfileForm(initial=present),
        password_form=form if isinstance(form, PasswordForm) else PasswordForm(),
        token_form=form if isinstance(form, TokenForm) else _token_form(request),
        shown=shown,
    )
    if shown.told:
        response["HX-Trigger"] = STORED
    if shown.secret:
        response["Cache-Control"] = "no-store"
    return response
