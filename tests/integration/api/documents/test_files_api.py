"""Files over HTTP: upload, details, download, deletion."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4
from weakref import WeakKeyDictionary

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.db.models.signals import post_save
from django.utils import timezone

from access.idempotency import HEADER
from access.permissions import Role
from common import limits as module
from common.limits import limits
from documents.files import reader, storage
from documents.models import File, StoredContent
from executions.worker import duties
from tests.factories import reports
from tests.factories.callers import Caller, make_caller
from tests.factories.files import pdfs
from tests.integration.api.checks import grant, pointers

pytestmark = pytest.mark.django_db

BRIEF = b"Lend 400 tools.\nFrom three branches.\n"


def upload(caller: Caller, data: bytes = BRIEF, *, name: str = "brief.txt") -> dict[str, Any]:
    response = caller.upload(data, name=name)
    assert response.status_code == 201, response.content
    body: dict[str, Any] = response.json()
    return body


def start(caller: Caller, brief: object, *, scope_id: str = "alpha") -> Any:
    body = {"workflow_id": "report", "scope_type": "project", "scope_id": scope_id, "input": brief}
    return caller.post("/executions/", body)


def test_an_upload_tells_what_was_found(ada: Caller) -> None:
    data = pdfs.simple("The first page", "The second page", title="Plan")
    response = ada.upload(data, name="plan.pdf")
    body = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/v1/files/{body['id']}"
    assert (body["name"], body["size"], body["type"]) == ("plan.pdf", len(data), "application/pdf")
    assert (body["pages"], body["title"], body["scope_id"]) == (2, "Plan", None)
    assert body["sha256"] == hashlib.sha256(data).hexdigest()
    assert body["characters"] >= len("The first pageThe second page")
    assert ada.get(f"/files/{body['id']}").json() == body


def test_only_the_uploader_sees_an_unused_file(ada: Caller, eve: Caller) -> None:
    file = upload(ada)
    for other in (eve, make_caller("chief", staff=True)):
        assert other.get(f"/files/{file['id']}").status_code == 404
        assert other.get(f"/files/{file['id']}/content").status_code == 404
        assert other.delete(f"/files/{file['id']}").status_code == 404
    assert ada.get(f"/files/{file['id']}").status_code == 200


def test_equal_contents_are_stored_once_and_tell_nothing_of_others(ada: Caller, eve: Caller) -> None:
    first, second = upload(ada), upload(eve)
    assert first["id"] != second["id"]
    assert StoredContent.objects.count() == 1
    assert ada.delete(f"/files/{first['id']}").status_code == 204
    assert eve.get(f"/files/{second['id']}/content").content == BRIEF
    assert eve.delete(f"/files/{second['id']}").status_code == 204
    assert not StoredContent.objects.exists()


def test_a_download_is_an_attachment_with_the_bytes(ada: Caller) -> None:
    file = upload(ada, b"<html><script>alert(1)</script>", name='über "uns".txt')
    response = ada.get(f"/files/{file['id']}/content")
    assert response.content == b"<html><script>alert(1)</script>"
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"].startswith("attachment; filename*=utf-8''%C3%BCber%20")
    assert "sandbox" in response.headers["Content-Security-Policy"]


def test_the_name_has_no_folders(ada: Caller) -> None:
    assert upload(ada, name="../../etc/pass\x1bwd.txt")["name"] == "passwd.txt"


def test_a_name_that_normalization_lengthens_is_cut_and_keeps_its_extension(ada: Caller) -> None:
    name = upload(ada, name="\ufb2c" * 251 + ".txt")["name"]  # NFC makes three characters of each
    assert (len(name), name[:3], name[-4:]) == (255, "\u05e9\u05bc\u05c1", ".txt")


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b"", "empty.txt", "empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old.doc", "unsupported-type"),
        (b"%PDF-1.7 nothing else", "broken.pdf", "damaged"),
    ],
)
def test_a_refused_file_is_422_with_a_sentence(ada: Caller, data: bytes, name: str, code: str) -> None:
    response = ada.upload(data, name=name)
    assert response.status_code == 422
    body = response.json()
    assert (body["code"], body["errors"][0]["code"], pointers(response)) == ("file-refused", code, {"/file"})
    assert body["detail"].startswith(f"“{name}” ")
    assert not File.objects.exists()


def test_a_form_has_exactly_one_file(ada: Caller) -> None:
    forms: list[dict[str, Any]] = [
        {},
        {"file": "a text"},
        {"data": SimpleUploadedFile("brief.txt", BRIEF)},
        {"file": SimpleUploadedFile("brief.txt", BRIEF), "more": "x"},
        {"file": [SimpleUploadedFile("a.txt", BRIEF), SimpleUploadedFile("b.txt", BRIEF)]},
    ]
    for form in forms:
        response = ada.send_form(form)
        assert (response.status_code, pointers(response)) == (422, {"/file"}), form
    assert ada.post("/files", {"file": "x"}).status_code == 415


def test_a_request_without_a_body_has_no_file(ada: Caller) -> None:
    headers = {"Authorization": f"Bearer {ada.token}", HEADER: "1" * 32}
    refused = ada.http.generic("POST", "/api/v1/files", b"", content_type="", headers=headers)
    assert (refused.status_code, pointers(refused)) == (422, {"/file"})


def test_a_file_may_be_larger_than_other_bodies_and_has_a_limit(ada: Caller) -> None:
    line = b"A line of sixty-four bytes, which the file repeats many times.\n"
    assert upload(ada, line * 1_000)["size"] == len(line) * 1_000
    response = ada.upload(b"x" * (limits().file_bytes + 1))
    assert response.status_code == 422
    assert response.json()["errors"][0]["code"] == "too-large"


class WatchedFile(TemporaryUploadedFile):
    """An upload that notes when it is read into memory."""

    were_read: ClassVar[list[str | None]] = []

    def read(self, size: int = -1) -> bytes:
        """Note it, and read."""
        self.were_read.append(self.name)
        data: bytes = b"" if self.file is None else self.file.read(size)
        return data


class WatchingHandler(TemporaryFileUploadHandler):
    """Makes such uploads."""

    def new_file(self, *args: Any, **options: Any) -> None:
        """Begin one."""
        super().new_file(*args, **options)
        self.file = WatchedFile(self.file_name or "", self.content_type, 0, self.charset, self.content_type_extra)


@pytest.fixture
def were_read(settings: Any) -> list[str | None]:
    """The names of the uploads that were read into memory."""
    settings.FILE_UPLOAD_HANDLERS = [f"{__name__}.WatchingHandler"]
    WatchedFile.were_read.clear()
    return WatchedFile.were_read


@pytest.mark.parametrize(("changes", "status"), [({"file_readers": 0}, 503), ({"file_bytes": 10}, 422), ({}, 201)])
def test_a_file_that_is_not_read_now_stays_on_disk(
    ada: Caller,
    were_read: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, int],
    status: int,
) -> None:
    monkeypatch.setattr(reader, "MAX_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(module, "_current", replace(limits(), **changes))
    assert ada.upload(BRIEF).status_code == status
    assert were_read == (["brief.txt"] if status == 201 else [])


def test_a_file_has_its_turn_until_it_is_stored(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_current", replace(limits(), file_readers=1))
    monkeypatch.setattr(reader, "_turns", WeakKeyDictionary())
    taken: list[bool] = []

    def note(**_: Any) -> None:
        taken.extend(turns.locked() for turns in reader._turns.values())

    post_save.connect(note, sender=File)
    try:
        upload(ada)
    finally:
        post_save.disconnect(note, sender=File)
    assert taken == [True]


def test_a_repeated_upload_with_a_key_stores_one_file(ada: Caller) -> None:
    first = ada.upload(BRIEF, Idempotency_Key="k1")
    again = ada.upload(BRIEF, Idempotency_Key="k1")
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert File.objects.count() == 1
    other = ada.upload(b"Another text.", Idempotency_Key="k1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


def test_unused_files_are_deleted_after_a_day(ada: Caller) -> None:
    old, new = upload(ada), upload(ada, b"Another text.")
    now = timezone.now()
    File.objects.filter(id=old["id"]).update(created_at=now - storage.UNUSED_RETENTION - timedelta(minutes=1))
    assert duties.prune_files(now=now) == 1
    assert ada.get(f"/files/{old['id']}").status_code == 404
    assert ada.get(f"/files/{new['id']}/content").content == b"Another text."
    assert StoredContent.objects.count() == 1


def test_a_used_file_belongs_to_the_readers_of_the_scope(ada: Caller, eve: Caller) -> None:
    reports.publish()
    file = upload(ada)
    started = start(ada, {"text": "See the file.", "files": [file["id"].upper()]})
    assert started.status_code == 201, started.content
    assert started.json()["input"] == {"text": "See the file.", "files": [file["id"]]}
    assert ada.get(f"/files/{file['id']}").json()["scope_id"] == "alpha"
    assert ada.delete(f"/files/{file['id']}").json()["code"] == "file-in-use"
    assert eve.get(f"/files/{file['id']}").status_code == 404
    grant(eve.user, "alpha", Role.VIEWER)
    assert eve.get(f"/files/{file['id']}/content").content == BRIEF
    assert start(ada, {"files": [file["id"]]}).status_code == 201
    assert pointers(start(ada, {"files": [file["id"]]}, scope_id="beta")) == {"/input/files/0"}


def test_a_foreign_file_and_an_unknown_one_give_the_same_answer(ada: Caller, eve: Caller) -> None:
    reports.publish()
    foreign, unknown = upload(eve)["id"], str(uuid4())
    answers = [start(ada, {"files": [upload(ada)["id"], each]}) for each in (foreign, unknown)]
    assert [(each.status_code, pointers(each)) for each in answers] == [(422, {"/input/files/1"})] * 2
    assert answers[0].json()["errors"] == answers[1].json()["errors"]
    assert not File.objects.exclude(scope=None).exists()


def test_files_of_a_brief_are_a_list_of_ids(ada: Caller) -> None:
    reports.publish()
    twice = [upload(ada)["id"], upload(ada)["id"]]
    cases: list[tuple[object, str]] = [
        ("x", "/input/files"),
        ([], "/input"),
        (["x"], "/input/files/0"),
        ([upload(ada, name="other.txt")["id"], 7], "/input/files/1"),
        (twice, "/input/files/1"),
        ([str(uuid4())] * 21, "/input/files"),
    ]
    for files, place in cases:
        response = start(ada, {"files": files})
        assert (response.status_code, pointers(response)) == (422, {place}), files


def test_an_estimate_counts_the_text_of_files(ada: Caller) -> None:
    reports.publish()
    file = upload(ada, b"Some words of text.\n" * 1_000)
    low = [
        ada.post("/workflows/report/estimate", {"input": each}).json()["input_tokens"]["low"]
        for each in ({"text": "See."}, {"text": "See.", "files": [file["id"]]})
    ]
    assert low[1] - low[0] > 4_000
    assert ada.get(f"/files/{file['id']}").json()["scope_id"] is None
