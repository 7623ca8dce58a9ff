"""The URL map. Streams are routed before Django, in `asgi.py`."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path

from orchestrator import health
from orchestrator.openapi.page import api_page
from orchestrator.openapi.view import openapi

api: list[URLPattern | URLResolver] = [
    path("", include("access.urls")),
    path("", include("telemetry.urls")),
    path("", include("executions.urls")),
    re_path(r"^openapi\.json$", openapi, name="openapi"),
    re_path(r"^docs/?$", api_page, name="docs"),
]

urlpatterns = [
    path("api/v1/", include(api)),
    path("admin/", admin.site.urls),
    re_path(r"^healthz/?$", health.healthz),
    re_path(r"^readyz/?$", health.readyz),
    path("", include("console.urls")),
]

if settings.OIDC_ENABLED:
    urlpatterns.append(path("login/single-sign-on/", include("access.oidc.urls")))

handler400 = "orchestrator.problems.bad_request"
handler403 = "orchestrator.problems.permission_denied"
handler404 = "orchestrator.problems.page_not_found"
handler500 = "orchestrator.problems.server_error"
