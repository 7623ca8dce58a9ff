"""Paths of single sign-on, below the page of the log-in. They are routed if the settings name a provider."""

from __future__ import annotations

from django.urls import path

from access.oidc import views

app_name = "oidc"
urlpatterns = [
    path("", views.begin, name="begin"),
    path("callback/", views.callback, name="callback"),
]
