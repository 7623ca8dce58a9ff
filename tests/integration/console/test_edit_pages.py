"""The editor, new documents, comments and restored versions: what their forms send, and how they are refused."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from access.models import AuditEntry, ScopeRole
from access.permissions import Role
from access.services import ensure_user
from access.user import User
from common.database.server import database_now
from documents.models import Document, DocumentComment, DocumentVersion
from executions.services.documents import edit_document, replace_with
from tests.factories.documents import SCHEMA, scope_of, store

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
CONTENT = {
    "title": "The plan",
    "zeta": 7,
    "text": "Open at nine.\nClose at five.",
    "parts": [{"name": "a"}, {"name": "b"}],
}
LOOSE = {**SCHEMA, "properties": {**SCHEMA["properties"], "text": {"type": "string", "minLength": 3}}}


class Fields(HTMLParser):
    """What a browser sends of the form whose action ends in a text; nothing of templates."""

    def __init__(self, page: Any, ending: str) -> None:
        super().__init__()
        self.pairs: dict[str, str] = {}
        self._ending, self._in, self._templates, self._area = ending, False, 0, ""
        self.feed(page.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._in = (given.get("action") or "").partition("?")[0].endswith(self._ending)
        self._templates += tag == "template"
        if not self._in or self._templates:
            return
        name = given.get("name") or ""
        if tag == "input" and given.get("type") != "checkbox":
            self.pairs[name] = given.get("value") or ""
        elif tag in {"textarea", "select"}:
            self._area = name
            self.pairs[name] = ""
        elif tag == "option" and "selected" in given:
            self.pairs[self._area] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        self._templates -= tag == "template"
        if tag == "form":
            self._in = False
        if tag in {"textarea", "select"}:
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area and self.lasttag == "textarea":
            self.pairs[self._area] += data.removeprefix("\n")


def fields(page: Any, ending: str) -> dict[str, str]:
    return Fields(page, ending).pairs


def text_of(page: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.content.decode().partition("<body")[2])).split())


@pytest.fixture
def plan(ada: User) -> UUID:
    return store(scope_of(ada), content=CONTENT, schema=LOOSE)


def newest(document_id: UUID) -> DocumentVersion:
    return DocumentVersion.objects.filter(document_id=document_id).latest("version")


def edit_by(name: str, document_id: UUID, content: Any) -> None:
    user = ensure_user(name=name)
    root_id = Document.objects.get(id=document_id).root_id
    ScopeRole.objects.get_or_create(scope_id=root_id, user=user, role=Role.REVIEWER)
    edit_document(
        user=user,
        document_id=document_id,
        edit=replace_with(content),
        note="By hand.",
        expected_versions=None,
        now=database_now(),
    )


def test_a_sentence_is_edited_and_nothing_else(browser: Client, plan: UUID) -> None:
    path = f"/documents/{plan}/edit/"
    sent = fields(browser.get(path), "/edit/")
    unchanged = browser.post(path, sent, headers=HTMX)
    assert (unchanged.status_code, unchanged["HX-Redirect"]) == (204, f"/documents/{plan}/")
    assert newest(plan).version == 1
    sent |= {"content.so/text": "Open at ten.\r\nClose at five.", "note": "Later."}
    assert browser.post(path, sent)["Location"] == f"/documents/{plan}/"  # without scripts
    row = newest(plan)
    assert (row.version, row.note, row.author_name) == (2, "Later.", "ada")
    assert row.content == {**CONTENT, "text": "Open at ten.\nClose at five."}


def test_a_refused_edit_comes_back_with_its_text_and_the_error_at_its_field(browser: Client, plan: UUID) -> None:
    path = f"/documents/{plan}/edit/"
    sent = fields(browser.get(path), "/edit/") | {"content.so/text": "No", "content.no/zeta": "many"}
    for _ in range(2):
        page = browser.post(path, sent, headers=HTMX)
        assert page.status_code == 422
        sent["content.no/zeta"] = "8"  # a number that can be read: then the schema refuses the text
    html = page.content.decode()
    [area] = re.findall(r"<textarea[^>]*/text\"[^>]*>", html)
    assert 'aria-invalid="true"' in area
    assert 'aria-describedby="field/text-error"' in area
    assert "shorter than 3 characters" in text_of(page)
    assert fields(page, "/edit/") == sent | {"csrfmiddlewaretoken": fields(page, "/edit/")["csrfmiddlewaretoken"]}
    assert newest(plan).version == 1
    assert browser.post(path, {"If-Match": "1", "base": "1", "content.sk/x": ""}).status_code == 400


def test_a_stale_edit_shows_what_changed_and_keeps_the_text(browser: Client, plan: UUID) -> None:
    path = f"/documents/{plan}/edit/"
    sent = fields(browser.get(path), "/edit/") | {"content.so/text": "Mine, all mine."}
    part = f"/documents/{plan}/parts/newer/?base=1"
    assert "notice" not in browser.get(part).content.decode()
    edit_by("bob", plan, {**CONTENT, "zeta": 8})
    assert "bob has made version 2" in browser.get(part).content.decode()
    page = browser.post(path, sent, headers=HTMX)
    assert page.status_code == 422
    assert "The document has changed meanwhile bob has made version 2" in text_of(page)
    assert "By hand." in text_of(page)
    assert "<del" in page.content.decode()
    again = fields(page, "/edit/")
    assert (again["content.so/text"], again["If-Match"], again["base"]) == ("Mine, all mine.", "2", "1")

    wrong = browser.post(path, again | {"show": "merge", "content.no/zeta": "many"})
    assert (wrong.status_code, "Enter a number, such as 12 or 0.5." in text_of(wrong)) == (422, True)
    assert fields(wrong, "/edit/")["content.no/zeta"] == "many"  # and is no text of the document
    merged = fields(browser.post(path, again | {"show": "merge"}), "/edit/")
    assert (merged["content.so/text"], merged["content.no/zeta"], merged["base"]) == ("Mine, all mine.", "8", "2")
    assert browser.post(path, merged).status_code == 302
    assert newest(plan).content == {**CONTENT, "zeta": 8, "text": "Mine, all mine."}


def test_the_form_and_json_show_the_same_content(browser: Client, plan: UUID) -> None:
    path = f"/documents/{plan}/edit/"
    sent = fields(browser.get(path), "/edit/") | {"content.so/text": "Another text"}
    as_json = fields(browser.post(path, sent | {"show": "json"}), "/edit/")
    assert '"text": "Another text"' in as_json["content.jk"]
    back = fields(browser.post(path, as_json | {"show": "form"}), "/edit/")
    assert {**back, "csrfmiddlewaretoken": ""} == {**sent, "csrfmiddlewaretoken": ""}
    wrong = browser.post(path, as_json | {"content.jk": '{"a": '}, headers=HTMX)
    assert "This is not JSON" in text_of(wrong)
    assert fields(wrong, "/edit/")["content.jk"] == '{"a": '
    unfit = browser.post(path, as_json | {"content.jk": '{"title": "x", "text": ""}'}, headers=HTMX)
    assert "text: " in text_of(unfit)
    kept = browser.post(path, sent | {"show": "draft", "content.no/zeta": "x"})
    assert "Your unsaved text is here again." in text_of(kept)
    assert "Correct the marked fields." in text_of(kept)
    assert "Nothing was stored" not in text_of(kept)
    assert (kept.status_code, fields(kept, "/edit/")["content.no/zeta"]) == (200, "x")


def test_a_document_with_more_values_than_a_form_has_fields_is_edited_as_json(browser: Client, plan: UUID) -> None:
    edit_by("bob", plan, {**CONTENT, "parts": [{"name": f"part {i}"} for i in range(600)]})
    path = f"/documents/{plan}/edit/"
    page = browser.get(path)
    sent = fields(page, "/edit/")
    assert "Edit in a form" not in text_of(page)
    assert [name for name in sent if name.startswith("content.")] == ["content.jk"]
    assert browser.post(path, sent | {"content.jk": sent["content.jk"].replace("part 7", "part 8")}).status_code == 302
    assert newest(plan).content["parts"][7] == {"name": "part 8"}


def test_only_those_who_may_edit_get_the_forms(ada: User, browser: Client, plan: UUID) -> None:
    eve = Client()
    user = ensure_user(name="eve")
    eve.force_login(user)
    paths = [
        f"/documents/{plan}/{name}" for name in ("edit/", "parts/newer/?base=1", "parts/comments/", "parts/passage/")
    ]
    assert [eve.get(path).status_code for path in paths] == [404] * 4
    ScopeRole.objects.create(scope=scope_of(ada), user=user, role=Role.VIEWER)
    assert [eve.get(path).status_code for path in paths] == [403, 200, 200, 200]
    reader = eve.get(f"/documents/{plan}/").content.decode()
    assert "/edit/" not in reader
    assert "data-passages" not in reader
    assert f"/documents/{plan}/edit/" in browser.get(f"/documents/{plan}/").content.decode()
    sent = fields(browser.get(paths[0]), "/edit/")
    assert eve.post(paths[0], sent, headers=HTMX).status_code == 403
    assert Client().post(paths[0], sent, headers=HTMX).status_code == 401
    assert Client().post(paths[0], sent).status_code == 302
    assert eve.post(f"/documents/{plan}/comments/", {"text": "Hi", "document_version": "1"}).status_code == 403
    assert eve.post(f"/documents/{plan}/restore/", {"version": "1", "If-Match": "1"}).status_code == 403


def test_an_earlier_version_is_restored_unless_the_document_has_changed(browser: Client, plan: UUID) -> None:
    edit_by("bob", plan, {**CONTENT, "zeta": 8})
    sent = fields(browser.get(f"/documents/{plan}/?v=1"), "/restore/")
    edit_by("bob", plan, {**CONTENT, "zeta": 9})
    path = f"/documents/{plan}/restore/"
    refused = browser.post(path, sent, headers=HTMX)
    assert refused.status_code == 422
    assert "bob has made version 3 meanwhile. Nothing was restored." in refused.content.decode()
    unknown = browser.post(path, sent | {"If-Match": "3", "version": "99"}, headers=HTMX)
    assert unknown.status_code == 422
    assert "This is not possible. The document has no version 99." in unknown.content.decode()
    assert browser.post(path, sent | {"If-Match": "3"}, headers=HTMX)["HX-Redirect"] == f"/documents/{plan}/"
    assert (newest(plan).version, newest(plan).content) == (4, CONTENT)


def test_a_document_is_added_with_the_fields_of_its_type(browser: Client, plan: UUID) -> None:
    page = browser.get("/documents/new/?scope_type=project&scope_id=beta&type=notes")
    sent = fields(page, "/new/") | {"title": "Notes", "content.sk": "# Notes\r\n\r\nFirst."}
    made = browser.post("/documents/new/", sent)
    assert newest(UUID(made["Location"].split("/")[2])).content == "# Notes\n\nFirst."
    again = browser.post("/documents/new/", sent | {"Idempotency-Key": "another"}, headers=HTMX)
    assert again.status_code == 422
    assert "has a document of type &#x27;notes&#x27; already" in again.content.decode()
    wrong = browser.post("/documents/new/", sent | {"type": "No Slug", "title": ""}, headers=HTMX)
    assert "Use lower case letters, digits and hyphens." in text_of(wrong)
    untitled = browser.post("/documents/new/", sent | {"type": "more", "title": ""}, headers=HTMX)
    assert "Give the document a title" in text_of(untitled)
    store(scope_of(ensure_user(name="bob"), key="bobs"), type="notes")
    foreign = browser.post("/documents/new/", sent | {"scope_id": "bobs"}, headers=HTMX)
    assert "This scope belongs to another user" in text_of(foreign)
    known = fields(browser.get("/documents/new/?scope_type=project&scope_id=alpha&type=plan"), "/new/")
    assert {"content.sk/title", "content.no/zeta", "content.so/text"} <= known.keys()


def test_a_content_that_is_nested_too_deep_is_not_stored(browser: Client, plan: UUID) -> None:
    path = f"/documents/{plan}/edit/"
    sent = fields(browser.get(path), "/edit/")
    deep = {f"content.ok{'/a' * level}": "" for level in range(1, 300)}
    assert browser.post(path, sent | deep).status_code == 400
    fifty = {f"content.ok{'/a' * level}": "" for level in range(1, 50)}
    text = '{"a": ' * 50 + "1" + "}" * 50
    refused = browser.post(path, sent | fifty | {f"content.jk{'/a' * 50}": text}, headers=HTMX)
    assert (refused.status_code, "More than 64 levels" in text_of(refused)) == (422, True)
    assert newest(plan).version == 1


def test_addresses_and_comments_of_other_versions_break_no_page(browser: Client, plan: UUID) -> None:
    assert browser.get("/documents/new/?scope_type=%00&scope_id=%00&type=a%00").status_code == 200
    for near in ("~ffffffff~", "~110000~", "~d800~"):
        assert browser.get(f"/documents/{plan}/parts/passage/?v=1&near={near}&quote=x").status_code == 200
    edit_by("bob", plan, {**CONTENT, "parts": {"a": "Now an object."}})
    said = {"pointer": "/parts/a", "quote": "", "text": "Why?", "document_version": "2"}
    assert browser.post(f"/documents/{plan}/comments/", said, headers=HTMX).status_code == 200
    assert list(AuditEntry.objects.values_list("act", "via").order_by("at", "id"))[-1] == ("comment.add", "console")
    for address in ("?v=1", "?v=2"):
        assert "Parts \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} A" in text_of(
            browser.get(f"/documents/{plan}/{address}")
        )


def test_a_selected_passage_is_commented_on_resolved_and_lost(browser: Client, plan: UUID) -> None:
    form = browser.get(f"/documents/{plan}/parts/passage/?v=1&near=document.text&quote=at nine. Close")
    sent = fields(form, "/comments/")
    assert (sent["pointer"], sent["quote"]) == ("/text", "at nine.\nClose")
    assert (
        fields(browser.get(f"/documents/{plan}/parts/passage/?v=1&near=nowhere&quote="), "/comments/")["pointer"] == ""
    )
    assert (
        '<option value="/parts/1">Parts \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} b</option>'
        in browser.get(f"/documents/{plan}/parts/passage/?v=1").content.decode()
    )
    path = f"/documents/{plan}/comments/"
    refused = browser.post(path, sent, headers=HTMX)
    assert (refused.status_code, refused["HX-Retarget"]) == (422, "#passage")
    told = browser.post(path, sent | {"text": "Why <b>nine</b>?"}, headers=HTMX)
    assert told["HX-Trigger"] == "stored"
    repeated = browser.post(path, sent | {"text": "Why <b>nine</b>?"}, headers=HTMX)
    assert repeated["HX-Trigger"] == "stored"
    assert DocumentComment.objects.count() == 1  # the form was sent again
    assert sent["Idempotency-Key"] not in repeated.content.decode()  # the empty form is another one
    assert "Why &lt;b&gt;nine&lt;/b&gt;?" in told.content.decode()
    assert (
        'data-anchor="document.text" data-quote="at nine.\nClose"'
        in browser.get(f"/documents/{plan}/").content.decode()
    )
    for wrong in ({"quote": "nowhere"}, {"pointer": "/no"}, {"pointer": "no~pointer"}):
        assert browser.post(path, sent | {"text": "x", **wrong}, headers=HTMX).status_code == 422
    assert browser.post(path, sent | {"pointer": "~", "show": "draft"}, headers=HTMX).status_code == 200
    edit_by("bob", plan, {**CONTENT, "text": "Something else."})
    assert "Its passage is gone" in browser.get(f"/documents/{plan}/parts/comments/").content.decode()
    assert browser.post(f"{path}1/", {"resolved": "true"})["Location"] == f"/documents/{plan}/"  # without scripts
    assert DocumentComment.objects.get().resolved_by_name == "ada"
    again = browser.post(f"{path}1/", {"resolved": "true"}, headers=HTMX).content.decode()
    assert again.lstrip().startswith('<section id="comments"')  # a comment that is being typed is not in the answer
    assert 'hx-target="#comments"' in again
    assert "1 resolved" in browser.get(f"/documents/{plan}/parts/comments/").content.decode()
    browser.post(f"{path}1/", {"resolved": "false"})
    assert DocumentComment.objects.get().resolved_at is None
    assert browser.post(f"{path}9/", {"resolved": "true"}).status_code == 404
