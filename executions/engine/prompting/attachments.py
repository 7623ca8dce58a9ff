"""Which files a model gets as they are, and what a prompt says of each file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from common.limits import limits
from executions.engine.domain.brief import BriefFile, Passage
from executions.engine.domain.calls import Attachment, Reading
from workflows.errors import storable

CHARACTERS_PER_TOKEN = 4  # a rule of thumb for English; budgets are soft
MAX_ATTACHMENTS = 20  # of one call; providers shrink pictures, or refuse them, where there are more
MAX_PAGES = 100  # of all PDFs of one call
_MAX_SIDE = 8_000  # pixels; providers refuse larger pictures
_TAGS = '<data kind="attached file" name="">\n\n</data>\n\n'
_EXPECTED_SHARE = 3  # the expected tokens of a picture are this part of the maximum


def choose(files: Sequence[BriefFile], reading: Reading, *, shared: Collection[UUID], free: int) -> list[Attachment]:
    """Return the files that a model gets as they are, in their order, as far as they fit.

    Args:
        files: The files that the prompt shows.
        reading: What the model reads.
        shared: Ids of the files of the brief.
        free: Characters of the step's budget that are left with the texts of all files.
    """
    chosen: list[Attachment] = []
    bytes_left, pages_left = limits().call_file_bytes, MAX_PAGES
    for file in files:
        if not _can_be_shown(file, reading) or len(chosen) >= MAX_ATTACHMENTS:
            continue
        made = _attachment(file, reading, is_shared=file.id in shared)
        needed = made.tokens * CHARACTERS_PER_TOKEN - len(file.text)
        if file.size > bytes_left or (file.pages or 0) > pages_left or needed > free:
            continue
        chosen.append(made)
        bytes_left, pages_left, free = bytes_left - file.size, pages_left - (file.pages or 0), free - needed
    return chosen


def text_of(file: BriefFile, attached: Mapping[UUID, Attachment], reading: Reading) -> str:
    """Return what the prompt says of a file, beside its bytes or in their place."""
    if file.id in attached:
        return _beside_bytes(file)
    is_refused = (file.is_picture and reading.pictures) or (file.is_pdf and reading.pdfs)
    if file.is_picture:
        reason = "is too large to be shown in this call" if is_refused else "cannot be shown to this model"
        return f"The picture {reason}."
    if file.is_pdf:
        refused = "it is encrypted" if file.encrypted else "as it is, the file is too large for this call"
        reason = refused if is_refused else "this model does not read PDFs"
        return f"{file.text}\n\n[Only the text of this file is shown: {reason}.]"
    return file.text


def _beside_bytes(file: BriefFile) -> str:
    if file.is_picture:
        return "The picture is attached, as it is."
    pages = [Passage(anchor=f"page={number}", text="") for number in (1, file.pages or 1)]
    return f"The file is attached, as it is. Cite its pages as {file.cited(pages[0])} to {file.cited(pages[1])}."


def _can_be_shown(file: BriefFile, reading: Reading) -> bool:
    """Return whether the model reads such a file, and its provider does not refuse this one."""
    if file.is_pdf:
        return reading.pdfs and file.pages is not None and not file.encrypted
    sides = (file.width or 0, file.height or 0)
    is_small = max(sides) <= _MAX_SIDE and (reading.picture_bytes is None or file.size <= reading.picture_bytes)
    return file.is_picture and reading.pictures and is_small


def _attachment(file: BriefFile, reading: Reading, *, is_shared: bool) -> Attachment:
    """Return the attachment of a file. A page counts as its text and one picture."""
    texts = [each.text for each in file.passages]
    pictures = file.pages or 1
    return Attachment(
        file_id=file.id,
        name=file.name,
        media_type=file.media_type,
        sha256=file.sha256,
        size=file.size,
        tokens=sum(map(len, texts)) // CHARACTERS_PER_TOKEN + pictures * reading.picture_tokens // _EXPECTED_SHARE,
        max_tokens=sum(len(storable(each).encode()) for each in (*texts, file.name, _TAGS))
        + pictures * reading.picture_tokens,
        is_shared=is_shared,
    )
