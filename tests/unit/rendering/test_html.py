"""HTML: whole pages load nothing and run nothing, fragments have class names only."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from documents.rendering.chapters import book_of
from documents.rendering.render import fragment_of
from documents.rendering.sources import Source
from documents.rendering.writers import html
from tests.factories.rendering import document, execution, flat, heading_texts, hostile_document

VOID = {"meta", "br", "hr"}
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "nav", "section", "footer", "div", "p", "br", "hr"),
    *(
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    ),
    *("blockquote", "pre", "code", "strong", "em", "s", "a"),
}


class Page(HTMLParser):
    """Reads a page: its tags, attributes, and the text of each element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.headings: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag in {"h1", "h2", "h3", "h4", "h5", "h6"}:
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if (
            self.open
            and self.open[-1] in {"h1", "h2", "h3", "h4", "h5", "h6", "em", "strong", "code", "a"}
            and any(tag[0] == "h" and tag[1:].isdigit() for tag in self.open)
        ):
            self.headings[-1] += data

    def values(self, name: str) -> list[str]:
        return [value or "" for key, value in self.attributes if key == name]


@pytest.mark.parametrize("source", [hostile_document(), execution(hostile_document(), hostile_document())])
def test_a_hostile_page_loads_and_runs_nothing(source: Source) -> None:
    page = Page(html.page(book_of(source)))
    assert set(page.tags) <= TAGS
    assert {name for name, _ in page.attributes} <= {
        *(
            "lang",
            "charset",
            "name",
            "content",
            "id",
            "dir",
            "class",
            "href",
            "rel",
            "scope",
            "role",
            "tabindex",
            "start",
        ),
        "aria-label",
    }
    assert all(link.startswith(("#", "http://ok.example", "http://evil.example")) for link in page.values("href"))
    assert [flat(heading) for heading in page.headings] == [flat(heading) for heading in heading_texts(source)]


def test_anchors_are_unique_and_the_contents_list_leads_to_them() -> None:
    items = [{"title": f"Item {number}", "text": "long " * 100} for number in range(3)]
    page = Page(html.page(book_of(execution(document({"items": items}), document({"items": items})))))
    anchors = page.values("id")
    assert len(set(anchors)) == len(anchors)
    assert {link[1:] for link in page.values("href")} <= set(anchors)
    assert "report.items.0" in anchors
    assert "report-2.items.2" in anchors


def test_a_page_has_language_title_and_provenance() -> None:
    page = html.page(book_of(document({"a": 1}, language="de-AT", title="<Bericht>")))
    assert '<html lang="de-AT">' in page
    assert "<title>&lt;Bericht&gt;</title>" in page
    assert '<footer class="doc-provenance">\n<p dir="auto">Version 3 of 4 March 2026</p>' in page
    assert "<html>" in html.page(book_of(document("x", language='de" onload="x')))


def test_a_fragment_needs_no_style_of_its_own() -> None:
    items = [{"title": f"Item {number}", "text": "long " * 100} for number in range(3)]
    fragment = fragment_of(document({"title": "Report", "items": items}))
    assert fragment.title == "Report"
    assert Page(fragment.content).headings == ["Items", "Item 0", "Item 1", "Item 2"]
    assert '<h2 id="report.items" dir="auto">Items</h2>' in fragment.content  # a page has ids of its own
    assert '<li><a href="#report.items.1" dir="auto">Item 1</a></li>' in fragment.contents
    assert "style=" not in fragment.content + fragment.contents
    assert fragment_of(document("short")).contents == ""
