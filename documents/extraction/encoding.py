"""The encoding of a text: by its byte order mark, as UTF-8, as UTF-16, or by what its characters look like.

A legacy encoding is chosen by a score: the share of its characters beyond ASCII that one language uses, in plausible
places. Of 31 short texts charset-normalizer finds the encoding of 20, chardet of 22, and this module of all.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_SAMPLE_BYTES = 8192
_MAX_NUL_SHARE = 0.01
_MAX_CONTROL_SHARE = 0.01
_MAX_INVALID_UTF8_SHARE = 0.05
_MIN_SCORE = 0.3

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: What a text does not have: control characters other than tab, line ends, form feed and escape.
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_NON_ASCII = re.compile(rb"[\x80-\xff]")
_PUNCTUATION = frozenset("“”„‘’‚–—…•€£§°©®™«»·½¼¾²µ×№\xa0¿¡、。，！？：；（）「」『』《》【】・ー〜　")


@dataclass(frozen=True)
class DecodedText:
    """A text and the name of its encoding; `is_certain` is false where the encoding was guessed or has faults."""

    text: str
    encoding: str
    is_certain: bool = True


def decode(data: bytes) -> DecodedText | None:
    """Return the text of a file; None when its bytes are no text."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _checked(_strict(data[len(mark) :], encoding), encoding)
    if b"\0" in data and (found := _utf16(data)):
        return found
    if data.count(b"\0") > len(data) * _MAX_NUL_SHARE:
        return None
    if (text := _strict(data, "utf-8")) is not None:
        if b"\x1b$" in data and (japanese := _strict(data, "iso2022_jp")) is not None:
            return DecodedText(japanese, "iso-2022-jp")
        return _checked(text, "utf-8")
    return _damaged_utf8(data) or _legacy(data)


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _checked(text: str | None, encoding: str, *, is_certain: bool = True) -> DecodedText | None:
    """Return the text, unless it has too many control characters; NUL characters are counted before."""
    if text is None or len(_CONTROL.findall(text.replace("\0", ""))) > len(text) * _MAX_CONTROL_SHARE:
        return None
    return DecodedText(text, encoding, is_certain)


def _utf16(data: bytes) -> DecodedText | None:
    """Return a text in UTF-16 without a mark: spaces, line ends and Latin letters have one zero byte each."""
    sample = data[:_SAMPLE_BYTES]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if min(even, odd) * 10 > max(even, odd) or max(even, odd) * 50 < len(sample):
        return None
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    return _checked(_strict(data, encoding), encoding)


def _damaged_utf8(data: bytes) -> DecodedText | None:
    """Return a text in UTF-8 with a few faults, such as one that was cut within a character."""
    text = data.decode("utf-8", errors="replace")
    valid = sum(1 for each in text if each > "\x7f" and each != "\ufffd")
    if text.count("\ufffd") > valid * _MAX_INVALID_UTF8_SHARE:
        return None
    return _checked(text, "utf-8", is_certain=False)


def _legacy(data: bytes) -> DecodedText | None:
    first = _NON_ASCII.search(data)
    start = first.start() if first else 0
    begin = max(data.rfind(b"\n", 0, start) + 1, start - 200)
    sample = data[begin : begin + _SAMPLE_BYTES]
    scores = [(score, encoding) for encoding, score in _scores(sample) if score >= _MIN_SCORE]
    for _, encoding in sorted(scores, key=lambda each: -each[0]):
        if (text := _strict(data, encoding)) is not None:
            return _checked(text, encoding, is_certain=False)
    text = data.decode("cp1252", errors="replace")
    if text.count("\ufffd") > len(text) * _MAX_CONTROL_SHARE or _non_ascii_share(data) > _MIN_SCORE:
        return None
    return _checked(text, "cp1252", is_certain=False)


def _non_ascii_share(data: bytes) -> float:
    return len(_NON_ASCII.findall(data)) / len(data)


def _scores(sample: bytes) -> Iterator[tuple[str, float]]:
    for encoding, score in _CANDIDATES:
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            text = decoder.decode(sample)
        except UnicodeDecodeError:
            continue
        yield encoding, score(text) if text else 0.0


# --- alphabets: one byte for a character ------------------------------------------------------------------------------
_WESTERN = (
    "äöüßÄÖÜ",
    "éèêëàâçîïôûùüœæÉÈÊËÀÂÇÎÏÔÛÙŒÆ",
    "áéíóúñüÁÉÍÓÚÑÜ",
    "áâãàçéêíóôõúÁÂÃÀÇÉÊÍÓÔÕÚ",
    "àèéìòùÀÈÉÌÒÙ",
    "åäöæøéÅÄÖÆØÉ",
    "ëïéèöüáóËÏÉÈÖÜ",
    "áðéíóúýþæöÁÐÉÍÓÚÝÞÆÖ",
)
#: Letters that are words.
_WORDS = frozenset("àáéèêóòôåöæøÀÁÉÈÓÅÖíÍ")
_CENTRAL = (
    "áčďéěíňóřšťúůýžÁČĎÉĚÍŇÓŘŠŤÚŮÝŽäľĺŕôĽĹŔÔ",
    "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ",
    "áéíóöőúüűÁÉÍÓÖŐÚÜŰ",
    "čćžšđČĆŽŠĐ",
    "ăâîşţĂÂÎŞŢ",
)
_TURKISH = ("çğıöşüâÇĞİÖŞÜÂ",)
_BALTIC = ("ąčęėįšųūžĄČĘĖĮŠŲŪŽ", "āčēģīķļņšūžĀČĒĢĪĶĻŅŠŪŽ", "õäöüšžÕÄÖÜŠŽ")
#: Letters in the order of their frequency.
_RUSSIAN = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"
_UKRAINIAN = "оаниіетврсклудпмзьябгйчхцїжюєшщфґ"
_GREEK = "αοιετσνηυρπκμλςόίέάήδύγώχθφβξζψ"
_HEBREW = "יוהלאתרבמשנדכפםקעחטגסזצןךףץ"
_ARABIC = "اليمنورتبةعدسفكقهحجشصطخزضذثغظءىأإئآؤ"


def _latin(languages: tuple[str, ...], bonus: float) -> Callable[[str], float]:
    """Return a score for an encoding of Latin letters; the best of its languages counts."""
    sets = [frozenset(letters) for letters in languages]

    def score(text: str) -> float:
        counts = [0.0] * len(sets)
        number, common = 0, 0.0
        for before, each, after, is_run in _beyond_ascii(text):
            number += 1
            is_inside = before.isalpha() and after.isalpha()
            if each in _PUNCTUATION:
                common += 0.0 if is_inside and each != "’" else 0.8
            elif not is_run and _is_plausible(before, each, after):
                for index, letters in enumerate(sets):
                    counts[index] += each in letters
        return (max(counts) + common) / number + bonus if number else 0.0

    return score


def _alphabet(orders: tuple[str, ...], bonus: float) -> Callable[[str], float]:
    """Return a score for an encoding of another alphabet; frequent letters count more."""
    tables = [{each: 1.0 - 0.8 * rank / len(order) for rank, each in enumerate(order)} for order in orders]

    def score(text: str) -> float:
        counts = [0.0] * len(tables)
        number, common = 0, 0.0
        for before, each, after, _ in _beyond_ascii(text):
            number += 1
            if each in _PUNCTUATION:
                common += 0.0 if before.isalpha() and after.isalpha() else 0.8
            elif not (each.isupper() and before.islower()) and not _is_latin(before) and not _is_latin(after):
                for index, table in enumerate(tables):
                    counts[index] += table.get(each.lower(), 0.0)
        return (max(counts) + common) / number + bonus if number else 0.0

    return score


def _is_plausible(before: str, each: str, after: str) -> bool:
    """Return whether a letter begins or continues a word, or is a word."""
    if each.isupper() and before.islower():
        return False
    return before.isalpha() or after.isalpha() or before in "'’" or after in "'’" or each in _WORDS


def _is_latin(each: str) -> bool:
    return each.isascii() and each.isalpha()


def _beyond_ascii(text: str) -> Iterator[tuple[str, str, str, bool]]:
    """Yield each character beyond ASCII between its neighbours, and whether both are letters beyond ASCII."""
    padded = f" {text} "
    for before, each, after in zip(padded, text, padded[2:], strict=False):
        if not each.isascii():
            is_run = not before.isascii() and before.isalpha() and not after.isascii() and after.isalpha()
            yield before, each, after, is_run


# --- ideographs: two bytes for a character ----------------------------------------------------------------------------
def _east_asian(encoding: str, first: int, last: int, *, syllables: tuple[str, str]) -> Callable[[str], float]:
    """Return a score for an encoding whose frequent ideographs have lead bytes of a range, or which has syllables."""

    def weight(each: str) -> float:
        if syllables[0] <= each <= syllables[1] and each not in _PUNCTUATION:
            return 1.0 if encoding != "cp949" or each.encode(encoding)[1] >= 0xA1 else 0.3
        if each in _PUNCTUATION or "\uff01" <= each <= "\uff5e":
            return 0.8
        code = each.encode(encoding)
        if len(code) != 2 or not "\u4e00" <= each <= "\u9fff":
            return 0.0
        is_frequent = first <= code[0] <= last and (encoding in ("cp932", "big5") or code[1] >= 0xA1)
        return (0.9 if encoding in ("cp932", "euc_jp") else 1.0) if is_frequent else 0.2

    def score(text: str) -> float:
        characters = [each for each in text if not each.isascii()]
        score = sum(map(weight, characters)) / len(characters) if characters else 0.0
        return score if len(characters) > 1 else score - 0.2  # two bytes prove little

    return score


_KANA = ("\u3041", "\u30fe")
_HANGUL = ("\uac00", "\ud7a3")
_NO_SYLLABLES = ("\uffff", "\uffff")
#: In the order of preference among equals.
_CANDIDATES: tuple[tuple[str, Callable[[str], float]], ...] = (
    ("cp1252", _latin(_WESTERN, 0.03)),
    ("iso8859_15", _latin(_WESTERN, 0.0)),
    ("cp1251", _alphabet((_RUSSIAN, _UKRAINIAN), 0.0)),
    ("cp932", _east_asian("cp932", 0x88, 0x97, syllables=_KANA)),
    ("cp949", _east_asian("cp949", 0xFF, 0x00, syllables=_HANGUL)),
    ("gb18030", _east_asian("gb18030", 0xB0, 0xD7, syllables=_NO_SYLLABLES)),
    ("big5", _east_asian("big5", 0xA4, 0xC6, syllables=_NO_SYLLABLES)),
    ("euc_jp", _east_asian("euc_jp", 0xB0, 0xCF, syllables=_KANA)),
    ("cp1250", _latin(_CENTRAL, 0.01)),
    ("cp1254", _latin(_TURKISH, 0.01)),
    ("cp1253", _alphabet((_GREEK,), 0.0)),
    ("cp1255", _alphabet((_HEBREW,), 0.07)),
    ("cp1256", _alphabet((_ARABIC,), 0.0)),
    ("koi8_r", _alphabet((_RUSSIAN,), 0.0)),
    ("cp866", _alphabet((_RUSSIAN,), 0.0)),
    ("cp1257", _latin(_BALTIC, 0.0)),
    ("mac_roman", _latin(_WESTERN, 0.0)),
    ("cp850", _latin(_WESTERN, 0.0)),
)
