"""Pictures must decode; what is odd about them is told."""

from __future__ import annotations

import pytest
from PIL import Image

from documents.extraction.results import RefusalCode
from tests.factories.files.documents import archive
from tests.factories.files.workbooks import claimed_png, picture
from tests.integration.documents.extraction.reading import read, refusal


@pytest.mark.parametrize(("kind", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg")])
def test_a_picture_is_read_without_text(kind: str, media_type: str) -> None:
    extraction = read(picture(kind))
    assert (extraction.media_type, extraction.segments, extraction.characters) == (media_type, (), 0)
    assert extraction.notes == ("The picture has 8 by 6 pixels. No text is taken out of pictures.",)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_cut_picture_is_damaged(kind: str) -> None:
    data = picture(kind, (64, 64))
    assert refusal(data[: len(data) // 2])[0] is RefusalCode.DAMAGED
    assert refusal(data[:12])[0] is RefusalCode.DAMAGED


def test_a_png_whose_pixels_are_missing_is_damaged() -> None:
    assert refusal(claimed_png(5_000, 5_000))[0] is RefusalCode.DAMAGED


def test_orientation_and_place_are_told() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    notes = read(picture("JPEG", exif=exif)).notes
    assert notes[1].startswith("The picture is stored turned")
    assert notes[2].startswith("The picture tells where it was taken")


def test_more_pixels_than_the_limit_are_refused_before_they_are_decoded() -> None:
    assert refusal(claimed_png(60_000, 60_000)) == (
        RefusalCode.TOO_MANY_PIXELS,
        "has 60,000 by 60,000 pixels; 64,000,000 pixels are the limit",
    )
    assert refusal(picture("JPEG"), pixels=47)[0] is RefusalCode.TOO_MANY_PIXELS
    assert read(picture("JPEG"), pixels=48).segments == ()


def test_a_picture_that_is_a_zip_too_is_refused() -> None:
    assert refusal(picture("JPEG") + archive({"a": "b"}))[0] is RefusalCode.TYPE_MISMATCH
