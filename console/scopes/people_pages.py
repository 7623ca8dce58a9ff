"""The people of a scope: owners give and take roles, and invite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext

from access.errors import InvitationEnded, LastOwner, TooManyInvitations, UserUnknown
from access.people import invitations, roles
from access.permissions import Action
from access.selectors import scope_for
from common.database.server import database_now
from common.errors import Forbidden, NotFound
from console.edit_pages import person
from console.language.names import name_of
from console.scopes.acts import act_once
from console.scopes.addresses import page_of, path_of_scope, query_of_scope
from console.scopes.forms import InvitationForm, MemberForm, PlaceForm, RoleForm, role_choices
from console.shell import STORED, form_view, show_page, stored

PAGE_SIZE = 50


@dataclass(slots=True, kw_only=True)
class Shown:
    """What the page shows after a form was sent."""

    told: str = ""
    form: forms.Form | None = None  # the new role, or the invitation, with its faults
    username: str = ""  # of the row with a fault
    fault: str = ""
    link: str = ""  # of a new invitation; it is shown only once
    code: int = 200


@form_view
def people(request: HttpRequest, scope_type: str, scope_id: str) -> HttpResponse:
    """Render the people of a scope for its owners."""
    return _show(request, scope_type, scope_id, shown=Shown())


@form_view
def give_role(request: HttpRequest) -> HttpResponse:
    """Give a user a role, in place of the present one."""
    form = RoleForm(request.POST)
    shown = Shown(form=form)

    def give() -> str:
        name, role = form.cleaned_data["username"], form.cleaned_data["role"]
        given = roles.give_role(user=person(request), username=name, role=role, **form.place)
        said = {"name": given.row.user.get_username(), "role": name_of(role.value)}
        return gettext("%(name)s is %(role)s now.") % said

    try:
        shown.told = act_once(request, form, action=Action.GIVE_ROLES, act=give)
    except LastOwner as error:
        shown.username, shown.fault, shown.form = form.cleaned_data["username"], gettext(str(error)), None
    except UserUnknown as error:
        form.add_error("username", gettext(str(error)))
    return _answer(request, form, shown)


@form_view
def take_role(request: HttpRequest) -> HttpResponse:
    """Take a user's role."""
    form = MemberForm(request.POST)
    shown = Shown()

    def take() -> str:
        name = form.cleaned_data["username"]
        roles.take_role(user=person(request), username=name, **form.place)
        return gettext("%(name)s has no role in this scope any more.") % {"name": name}

    try:
        shown.told = act_once(request, form, action=Action.GIVE_ROLES, act=take)
    except LastOwner as error:
        shown.username, shown.fault = form.cleaned_data["username"], gettext(str(error))
    except UserUnknown as error:
        shown.told = gettext(str(error))
    return _answer(request, form, shown)


@form_view
def invite(request: HttpRequest) -> HttpResponse:
    """Make an invitation. Its link is in this answer alone: the server stores a hash of its token."""
    form = InvitationForm(request.POST)
    shown = Shown(form=form)
    if request.POST.get("show") == "draft":
        return _show(request, **_place(form), shown=Shown(form=InvitationForm(initial=request.POST.dict())))

    def make() -> str:
        values: dict[str, Any] = {name: form.cleaned_data[name] for name in ("role", "email")}
        _, token = invitations.invite(user=person(request), now=database_now(), **values, **form.place)
        shown.link = request.build_absolute_uri(reverse("console:invitation-link", kwargs={"token": token}))
        return gettext("The invitation was made.")

    try:
        shown.told = act_once(request, form, action=Action.INVITE, act=make)
    except TooManyInvitations as error:
        form.add_error("role", gettext(str(error)))
    if shown.told and not shown.link:
        shown.told = gettext(
            "This invitation was made already. Its link was shown once. Withdraw it, and make a new one."
        )
    return _answer(request, form, shown)


@form_view
def withdraw(request: HttpRequest, invitation_id: UUID) -> HttpResponse:
    """Withdraw an invitation."""
    form = PlaceForm(request.POST)
    shown = Shown()

    def end() -> str:
        invitations.withdraw(user=person(request), invitation_id=invitation_id, now=database_now(), **form.place)
        return gettext("The invitation was withdrawn. Its link no longer works.")

    try:
        shown.told = act_once(request, form, action=Action.INVITE, act=end)
    except InvitationEnded as error:
        shown.told = " ".join([gettext(str(error)), gettext("It was not withdrawn.")])
    return _answer(request, form, shown)


def _place(form: forms.Form) -> dict[str, str]:
    return {name: form.data.get(name, "") for name in ("scope_type", "scope_id")}


def _answer(request: HttpRequest, form: forms.Form, shown: Shown) -> HttpResponse:
    """Show the page after a form was sent. A user who is no owner any more comes to the list of scopes."""
    if form.errors or shown.fault:
        shown.code = 422
    elif not shown.link:
        shown.form = None
    try:
        response = _show(request, **_place(form), shown=shown)
    except (NotFound, Forbidden):
        if not shown.told:
            raise
        return stored(request, reverse("console:scopes"))
    if shown.told:
        response["HX-Trigger"] = STORED
    if shown.link:
        response["Cache-Control"] = "no-store"
    return response


def _show(request: HttpRequest, scope_type: str, scope_id: str, *, shown: Shown) -> HttpResponse:
    root = scope_for(request.user, Action.GIVE_ROLES, scope_type=scope_type, scope_key=scope_id)
    place: dict[str, Any] = {"user": request.user, "scope_type": root.type, "scope_key": root.key}
    members, more_members = page_of(roles.roles(**place), request, ordering=("id",), limit=PAGE_SIZE, name="people")
    rows, more_invitations = page_of(
        invitations.invitations(**place), request, ordering=("-id",), limit=PAGE_SIZE, name="invitations"
    )
    offers = invitations.details(rows, now=database_now())
    hidden = {"scope_type": root.type, "scope_id": root.key}
    form = shown.form
    return show_page(
        request,
        "console/scopes/people.html",
        status=shown.code,
        section="scopes",
        scope=root,
        path=path_of_scope(root),
        scope_query=query_of_scope(root),
        members=members,
        more_members=more_members,
        open=[each for each in offers if each.status is invitations.InvitationStatus.OPEN],
        ended=[each for each in offers if each.status is not invitations.InvitationStatus.OPEN],
        more_invitations=more_invitations,
        is_first=not {"people", "invitations"} & request.GET.keys(),
        roles=role_choices(),
        invitation_form=form if isinstance(form, InvitationForm) and not shown.told else InvitationForm(initial=hidden),
        role_form=form if isinstance(form, RoleForm) else RoleForm(initial=hidden),
        shown=shown,
        draft=f"invitation-{root.id}/new",
    )
