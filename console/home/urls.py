"""Paths of the first page."""

from __future__ import annotations

from django.urls import path

from console.home import pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("parts/home/", pages.board, name="part-home"),
]
