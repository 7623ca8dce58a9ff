"""Pages speak the language of the person, or of the browser without a login. The API speaks English."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from threading import Barrier

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation

from access.services import ensure_user
from access.user import User
from console.templatetags.console import seconds, thousands, usd, when
from tests.factories.documents import scope_of

GERMAN = {"Accept-Language": "de-AT, en;q=0.5"}


def _speaks(user: User, language: str) -> Client:
    user.language = language
    user.save()
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize(("language", "lang", "inbox"), [("de", "de", "Eingang"), ("de-AT", "de", "Eingang")])
def test_a_page_is_in_the_language_of_the_person(ada: User, language: str, lang: str, inbox: str) -> None:
    page = _speaks(ada, language).get("/account/").content.decode()
    assert f'<html lang="{lang}">' in page
    assert inbox in page
    assert "Abmelden" in page
    assert "languages/de.js" in page


@pytest.mark.parametrize("language", ["en", "en-GB", "pt-BR"])
def test_a_person_with_another_language_reads_english(ada: User, language: str) -> None:
    page = _speaks(ada, language).get("/account/", headers=GERMAN).content.decode()
    assert '<html lang="en">' in page
    assert "Log out" in page
    assert "languages/" not in page


def test_without_a_login_the_browser_decides(db: None) -> None:
    response = Client().get("/login/", headers=GERMAN)
    assert "Accept-Language" in response["Vary"]
    assert '<html lang="de">' in response.content.decode()
    assert "Anmelden" in response.content.decode()
    assert '<html lang="en">' in Client().get("/login/").content.decode()


def test_an_unknown_address_and_an_ended_session_speak_the_language_of_the_browser(db: None) -> None:
    assert '<html lang="de">' in Client().get("/nowhere", headers=GERMAN).content.decode()
    ended = Client().get("/parts/waiting/", headers=GERMAN)
    assert (ended.status_code, ended.content.decode()) == (401, "Die Sitzung ist beendet.")


def test_a_part_is_in_the_language_of_the_person(ada: User) -> None:
    german = _speaks(ada, "de")
    tag = german.get("/parts/home/")["ETag"]
    assert "Wartet auf mich" in german.get("/parts/home/").content.decode()
    english = _speaks(ada, "en").get("/parts/home/", headers={"If-None-Match": tag})
    assert english.status_code == 200
    assert "Waits for me" in english.content.decode()


def test_the_api_speaks_english_and_passes_no_middleware_of_languages(ada: User) -> None:
    german = _speaks(ada, "de")
    before = german.get("/api/v1/me", headers=GERMAN)
    german.get("/account/")
    problem = german.post("/api/v1/executions", {}, content_type="application/json", headers=GERMAN).json()
    assert problem["errors"][0]["detail"] == "This field is required."
    assert "Content-Language" not in before.headers
    assert not [name for name in settings.MIDDLEWARE if "locale" in name.lower() or "language" in name.lower()]
    assert translation.get_language() == settings.LANGUAGE_CODE


def test_a_person_who_changes_the_language_reads_the_whole_page_in_it(ada: User, browser: Client) -> None:
    given = {"name": "Ada", "time_zone": "UTC"}
    same = browser.post("/account/profile/", {**given, "language": "en-GB"}, headers={"HX-Request": "true"})
    assert "Stored." in same.content.decode()
    german = browser.post("/account/profile/", {**given, "language": "de"}, headers={"HX-Request": "true"})
    assert (german.status_code, german["HX-Redirect"]) == (204, "/account/")
    assert "Konto von" in browser.get("/account/").content.decode()


def test_numbers_dates_and_money_are_written_as_in_the_language() -> None:
    moment = datetime(2026, 11, 30, 4, 12, tzinfo=UTC)
    with translation.override("de"):
        shown = when(moment), usd(Decimal("1234.5")), thousands(1234), seconds(0.4), usd(Decimal(0))
    assert shown[0] == (
        '<time datetime="2026-11-30T04:12:00.000Z" title="Montag 04:12:00 UTC">30. Nov 2026, 04:12 UTC</time>'
    )
    assert shown[1:] == ("1234,50\u00a0$", "1.234", "0,4 s", "0\u00a0$")
    with translation.override("en"):
        assert (usd(Decimal("1234.5")), thousands(1234), seconds(0.4)) == ("$1234.50", "1,234", "0.4 s")


def test_errors_of_services_are_told_in_the_language_of_the_person(ada: User) -> None:
    german = _speaks(ada, "de")
    scope_of(ada)
    place = {"scope_type": "project", "scope_id": "alpha", "username": "ada"}
    page = german.post("/scopes/-/roles/take/", place).content.decode()
    assert "Das ist die letzte Leitung des Bereichs" in page


def test_two_people_at_once_do_not_see_each_others_language(db: None) -> None:
    together = Barrier(2)

    def read(language: str) -> bool:
        browser, is_own = Client(headers={"Accept-Language": language}), True
        for _ in range(20):
            together.wait(timeout=30)
            is_own &= f'<html lang="{language}">' in browser.get("/login/").content.decode()
        return is_own

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(read, ["de", "en"])) == [True, True]


def test_one_person_after_another_in_the_same_thread(ada: User) -> None:
    german, english = _speaks(ada, "de"), _speaks(ensure_user(name="bob"), "en")
    for _ in range(2):
        assert "Eingang" in german.get("/account/").content.decode()
        assert "Inbox" in english.get("/account/").content.decode()
