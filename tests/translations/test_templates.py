"""Every text of a template of the console is translated."""

from __future__ import annotations

import pytest

from tests.translations.catalogue import CONSOLE
from tests.translations.template_texts import bare_texts

TEMPLATES = CONSOLE / "templates" / "console"


def test_no_template_has_text_that_is_not_translated() -> None:
    paths = list(TEMPLATES.rglob("*.html"))
    assert len(paths) > 90
    bare = {path.relative_to(TEMPLATES).as_posix(): found for path in paths if (found := bare_texts(path.read_text()))}
    assert not bare


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
