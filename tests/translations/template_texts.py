"""Finds text of a template that no tag translates: between tags, in attributes that people read, and in filters."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from django.template.base import Lexer, Token, TokenType

#: Attributes that browsers show, or read aloud.
READ = {"alt", "aria-label", "aria-description", "data-label", "label", "placeholder", "title"}
_WORD = re.compile(r"[A-Za-z]{2,}")
_NAMES = re.compile(r"Scriptorium|SHA-256|\b(?:UTC|US\$)")  # the same in all languages
_LITERAL = re.compile(r"(?<!_\()\"([^\"]*[A-Za-z]{2,}[^\"]*)\"")
_FILTERS_WITH_TEXT = re.compile(r"\|(?:default|default_if_none|pluralize|yesno|add|join):(?P<given>\"[^\"]*\")")
_ATTRIBUTE = re.compile(r"(?<![\w-])name=(\"[^\"]*\")")  # of an included template
_IDENTIFIER = re.compile(r"[a-z0-9_.-]+")


def bare_texts(source: str) -> list[str]:
    """Return the texts that are not translated."""
    found, markup = [], []
    is_translated = False
    for token in Lexer(source).tokenize():
        kind = token.contents.split(maxsplit=1)[0] if token.token_type is TokenType.BLOCK and token.contents else ""
        if kind in {"blocktranslate", "blocktrans", "comment"}:
            is_translated = True
        elif kind in {"endblocktranslate", "endblocktrans", "endcomment"}:
            is_translated = False
        elif token.token_type is TokenType.TEXT and not is_translated:
            markup.append(token.contents)
        else:
            found += _literals(token)
    written = "".join(markup)
    is_part_of_a_tag = "<" not in written and '="' in written
    return [*found, *_Markup(f"<p{written}>" if is_part_of_a_tag else written).found]


def _literals(token: Token) -> list[str]:
    given = [match["given"] for match in _FILTERS_WITH_TEXT.finditer(token.contents)]
    if token.contents.startswith("include "):
        given += _ATTRIBUTE.findall(token.contents)
    literals = [match[1] for each in given for match in _LITERAL.finditer(each)]
    return [each for each in literals if _is_text(each) and not _IDENTIFIER.fullmatch(each)]


def _is_text(text: str) -> bool:
    return bool(_WORD.search(_NAMES.sub("", text)))


class _Markup(HTMLParser):
    """The texts of a page without its template tags."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in READ and value and _is_text(value)]

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None and _is_text(data):
            self.found.append(" ".join(data.split()))
