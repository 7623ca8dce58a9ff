"""Catalogues have all texts, and what is made of a catalogue is new."""

from __future__ import annotations

import re

import pytest
from django.utils import translation
from django.utils.translation import gettext, pgettext

from tests.translations.catalogue import (
    CONSOLE,
    LANGUAGES,
    catalogue,
    compiled,
    folder,
    pairs,
    script,
    texts,
    texts_of_scripts,
    updated,
)

_AGAIN = "run: make translations"
_PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z](?![a-z])|\{\w+\}")
#: Formats of dates, which a language may write without the parts of the English one.
_FORMATS = "format of"


def placeholders(text: str) -> set[str]:
    """Return the names and signs of a text that are replaced by values."""
    return set(_PLACEHOLDER.findall(text))


def test_there_are_texts() -> None:
    assert LANGUAGES == ["de"]
    assert len(texts()) > 200
    assert texts_of_scripts()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_has_every_text_and_no_other(language: str) -> None:
    stored = (folder(language) / "django.po").read_bytes()
    assert updated(catalogue(language)) == stored, _AGAIN


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_has_a_translation(language: str) -> None:
    missing = [each.id for each in catalogue(language) if each.id and not all(text for _, text in pairs(each))]
    assert not missing


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_placeholders_of_its_text(language: str) -> None:
    """A singular may leave out its number: `One call`."""
    for message in catalogue(language):
        if not message.id or (message.context or "").startswith(_FORMATS):
            continue
        assert not message.fuzzy, message.id
        for english, translated in pairs(message):
            given, known = placeholders(translated), placeholders(english)
            assert given == known or (message.pluralizable and given <= known | placeholders(message.id[-1])), english
            assert english.startswith("\n") == translated.startswith("\n"), english


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_catalogue_of_a_library_has_another_translation(language: str) -> None:
    with translation.override(language):
        for message in catalogue(language):
            if isinstance(message.id, str) and message.id:
                shown = pgettext(message.context, message.id) if message.context else gettext(message.id)
                assert shown == message.string, message.id


@pytest.mark.parametrize("language", LANGUAGES)
def test_compiled_files_are_those_of_the_catalogue(language: str) -> None:
    found = catalogue(language)
    assert (folder(language) / "django.mo").read_bytes() == compiled(found), _AGAIN
    module = CONSOLE / "static" / "console" / "languages" / f"{language}.js"
    assert module.read_text() == script(found), _AGAIN
