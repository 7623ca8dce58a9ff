"""Login and logout, and the page of an execution: its script loads the data from the public API and its stream."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.csrf import ensure_csrf_cookie

from access.oidc.faults import sentence_of
from access.services import record_logout, store_login
from common.errors import NotFound
from console.executions.compare_pages import MAX_EARLIER, earlier_than
from console.language.choice import in_language, speaking
from console.shell import is_htmx, waiting_text, zone_of
from executions.selectors import executions as selectors

#: Formats of an execution's documents, with their names for people.
_DOWNLOADS = (
    ("docx", "Word"),
    ("pdf", "PDF"),
    ("markdown", "Markdown"),
    ("html", "HTML"),
    ("zip", gettext_lazy("everything (zip)")),
)


@method_decorator(in_language, name="dispatch")  # type: ignore[arg-type]  # it names a more special response
class LoginPage(auth.LoginView):
    """Django's login, with a way to the provider of single sign-on, and the reason if a login there failed."""

    template_name = "console/login.html"

    def get_context_data(self, **given: Any) -> dict[str, Any]:
        """Return what the template shows; nothing of single sign-on unless the settings name a provider."""
        context = super().get_context_data(**given)
        if settings.OIDC_ENABLED:
            wanted = self.get_redirect_url()
            sentence = sentence_of(self.request.GET.get("fault", ""))
            context["provider"] = settings.OIDC_NAME
            context["provider_path"] = reverse("oidc:begin") + (f"?{urlencode({'next': wanted})}" if wanted else "")
            context["fault"] = sentence and gettext(sentence)
        return context

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Log the user in, and record it."""
        response = super().form_valid(form)
        store_login(self.request)
        return response


@in_language
def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say that a form is too old, or was sent from another site: Django's check has refused it."""
    if is_htmx(request):
        return HttpResponse(gettext("This page is too old: reload it."), status=403, content_type="text/plain")
    return render(request, "console/stale_form.html", {"path": request.path}, status=403)


def _page(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """Render a page with the count of the inbox."""
    return render(request, template, {"waiting_count": waiting_text(request.user), **context})


@login_required
def waiting_count(request: HttpRequest) -> HttpResponse:
    """Return the count of the inbox."""
    return JsonResponse({"waiting": waiting_text(request.user)}, headers={"Cache-Control": "no-store"})


@login_required
@ensure_csrf_cookie
def execution(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the live view of one execution. Its script says if there is no such execution."""
    try:
        row = selectors.execution(user=request.user, execution_id=execution_id)
    except NotFound:
        found: dict[str, Any] = {"earlier": ()}
    else:
        found = {"earlier": earlier_than(request.user, row, limit=MAX_EARLIER), "erased_at": row.erased_at}
    with speaking(request), timezone.override(zone_of(request.user)):
        return _page(request, "console/execution.html", execution_id=execution_id, downloads=_DOWNLOADS, **found)


class Logout(auth.LogoutView):
    """The end of a session."""

    def post(self, request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
        """Log the user out, and record it."""
        with transaction.atomic():
            record_logout(request)
            response: HttpResponse = super().post(request, *arguments, **options)
        return response
