"""PNG and JPEG pictures: they must decode, within a limit of pixels. Their text is not read."""

from __future__ import annotations

import io
import warnings

from documents.extraction.limits import ExtractionLimits
from documents.extraction.results import Extraction, FileRefused, FileType, RefusalCode

_ORIENTATION = 0x0112
_GPS = 0x8825
_FORMATS = {FileType.PNG: "PNG", FileType.JPEG: "JPEG"}


def read(data: bytes, kind: FileType, limits: ExtractionLimits) -> Extraction:
    """Return notes about a picture.

    Raises:
        FileRefused: the picture does not decode, or has too many pixels.
    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - loaded only for pictures

    Image.MAX_IMAGE_PIXELS = None  # the limit is checked here, with a sentence
    warnings.simplefilter("ignore")
    try:
        with Image.open(io.BytesIO(data), formats=[_FORMATS[kind]]) as picture:
            _check_size(picture.size, limits)
            frames = getattr(picture, "n_frames", 1)
            exif = picture.getexif()
            size = picture.size
            notes = _notes(size, exif.get(_ORIENTATION, 1), has_place=_GPS in exif, frames=frames)
            picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise FileRefused(RefusalCode.DAMAGED, "is damaged: the picture cannot be decoded") from error
    return Extraction.of(kind, [], notes=notes, pixels=size)


def _check_size(size: tuple[int, int], limits: ExtractionLimits) -> None:
    width, height = size
    if width * height > limits.pixels:
        detail = f"has {width:,} by {height:,} pixels; {limits.pixels:,} pixels are the limit"
        raise FileRefused(RefusalCode.TOO_MANY_PIXELS, detail)


def _notes(size: tuple[int, int], orientation: int, *, has_place: bool, frames: int) -> list[str]:
    notes = [f"The picture has {size[0]} by {size[1]} pixels. No text is taken out of pictures."]
    if orientation != 1:
        notes.append("The picture is stored turned or mirrored; programs turn it by its EXIF orientation.")
    if has_place:
        notes.append("The picture tells where it was taken (GPS); the stored file keeps that.")
    if frames > 1:
        notes.append("The picture is animated; models see its first frame.")
    return notes
