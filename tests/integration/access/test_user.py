"""A user has a time zone and a language; invalid names are rejected."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from access.user import User

pytestmark = pytest.mark.django_db


def test_a_user_begins_with_utc_and_english(alice: User) -> None:
    alice.refresh_from_db()
    assert (alice.time_zone, alice.language) == ("UTC", "en")


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_names_of_the_iana_database_are_time_zones(alice: User, name: str) -> None:
    alice.time_zone = name
    alice.clean()


@pytest.mark.parametrize("name", ["", "Berlin", "europe/berlin", "localtime", "../UTC", "+01:00", "America"])
def test_other_names_are_no_time_zones(alice: User, name: str) -> None:
    alice.time_zone = name
    with pytest.raises(ValidationError) as raised:
        alice.clean()
    assert [*raised.value.message_dict] == ["time_zone"]


@pytest.mark.parametrize(
    "tag", ["en", "pt-BR", "zh-Hant-TW", "es-419", "de-CH-1996", "sl-rozaj-biske", "en-u-ca-gregory", "zh-cmn", "fil"]
)
def test_language_tags_are_taken(alice: User, tag: str) -> None:
    alice.language = tag
    alice.clean()


@pytest.mark.parametrize("tag", ["", "e", "english_us", "en_US", "en-", "-en", "en-abcdefghi", "en-u", "de-CH\n"])
def test_other_words_are_no_language_tags(alice: User, tag: str) -> None:
    alice.language = tag
    with pytest.raises(ValidationError) as raised:
        alice.clean()
    assert [*raised.value.message_dict] == ["language"]


def test_the_admin_changes_both_and_says_what_is_wrong(alice: User) -> None:
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))
    path = f"/admin/access/user/{alice.pk}/change/"
    form = {"username": "alice", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00", "is_active": "on"}
    page = browser.post(path, {**form, "time_zone": "Nowhere/Land", "language": "pt-BR"}).content.decode()
    assert "no name of the IANA time zone database" in page
    assert browser.post(path, {**form, "time_zone": "Asia/Tokyo", "language": "pt-BR"}).status_code == 302
    alice.refresh_from_db()
    assert (alice.time_zone, alice.language) == ("Asia/Tokyo", "pt-BR")
