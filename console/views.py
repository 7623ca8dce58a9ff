"""Login and logout, the count of the inbox for pages without parts, and the page for a form that is too old."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext

from access.oidc.faults import sentence_of
from access.services import record_logout, store_login
from console.language.choice import in_language
from console.shell import is_htmx, waiting_text


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


@login_required
def waiting_count(request: HttpRequest) -> HttpResponse:
    """Return the count of the inbox."""
    return JsonResponse({"waiting": waiting_text(request.user)}, headers={"Cache-Control": "no-store"})


class Logout(auth.LogoutView):
    """The end of a session."""

    def post(self, request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
        """Log the user out, and record it."""
        with transaction.atomic():
            record_logout(request)
            response: HttpResponse = super().post(request, *arguments, **options)
        return response
