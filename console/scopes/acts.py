"""What the forms about scopes share: they act once, and say refusals beside the field."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.utils.translation import gettext
from pydantic import JsonValue

from access.idempotency import run_form_once
from access.permissions import Action
from access.selectors import scope_for
from common.errors import Malformed
from console.scopes.forms import PlaceForm


def act_once(request: HttpRequest, form: PlaceForm, *, action: Action, act: Callable[[], str]) -> str:
    """Do what a form asks for, and return the sentence about it; empty if the form has faults.

    A form that is sent again has the result of the first one.

    Raises:
        Malformed: the request sends no form, or one without its scope.
        NotFound: there is no such scope, or the user has no role in it.
        Forbidden: the user's role does not permit the action.
    """
    if request.method != "POST":
        raise Malformed(gettext("Open the page of the scope, and use its form."))
    is_valid = form.is_valid()
    if {"scope_type", "scope_id"} & form.errors.keys():
        raise Malformed
    scope_for(request.user, action, **form.place)
    if not is_valid:
        return ""
    result: JsonValue = run_form_once(request, act)
    return str(result)
