"""Every text of a template of the console is translated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.translations.catalogue import CONSOLE
from tests.translations.template_texts import bare_texts

TEMPLATES = CONSOLE / "templates" / "console"
#: Templates that are still in English alone: folders, and beginnings of names.
LATER = ("execution",)


def _is_later(path: Path) -> bool:
    return path.relative_to(TEMPLATES).as_posix().startswith(LATER)


def test_no_template_has_text_that_is_not_translated() -> None:
    paths = [path for path in TEMPLATES.rglob("*.html") if not _is_later(path)]
    assert len(paths) > 30
    bare = {path.relative_to(TEMPLATES).as_posix(): found for path in paths if (found := bare_texts(path.read_text()))}
    assert not bare


def test_templates_that_come_later_exist() -> None:
    """A name that no template has any more is taken out of the list."""
    names = [path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html")]
    assert all(any(name.startswith(each) for name in names) for each in LATER)


@pytest.mark.parametrize(
    ("source", "bare"),
    [
        ("<p>Hello</p>", ["Hello"]),
        ('<p>{% translate "Hello" %} {{ name }}</p>', []),
        ("{% blocktranslate count n=n %}One{% plural %}{{ n }} of many{% endblocktranslate %} and more", ["and more"]),
        ('<a title="More"{% if x %} aria-label="Less"{% endif %}>', ["More", "Less"]),
        ('<a class="button" href="{% url "home" %}" aria-label="{% translate "Home" %}">·</a>', []),
        ('{{ title|default:"No title" }}', ["No title"]),
        ('{{ title|default:_("No title") }} {{ key|default:"all" }}', []),
        ("<script src='x.js'></script><b>Scriptorium</b> UTC", []),
        ('{% include "pages.html" with name="Pages of people" %}', ["Pages of people"]),
    ],
)
def test_the_search_finds_text(source: str, bare: list[str]) -> None:
    assert bare_texts(source) == bare
