"""Path of costs."""

from __future__ import annotations

from django.urls import path

from console.costs import pages

urlpatterns = [path("costs/", pages.costs, name="costs")]
