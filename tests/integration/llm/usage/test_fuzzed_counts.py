"""Random token counts and truncated running totals: never negative, never too high, else unknown."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executions.llm.usage.counts import _FIELDS, Contradiction, Count, Language
from executions.llm.usage.transcript import Transcript
from tests.support.fuzzing import share_of_30

SECONDS = share_of_30(4)
#: An example takes about 20 ms on a busy machine, and there are nine tests.
EXAMPLES = max(5, round(6 * SECONDS))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
languages = pytest.mark.parametrize("language", Language, ids=lambda each: each.name.lower())

counts: st.SearchStrategy[Any] = st.integers(0, 12) | st.integers(0, 2**60)
odd: st.SearchStrategy[Any] = (
    st.integers(-5, -1) | st.floats() | st.booleans() | st.text(max_size=3) | st.just([]) | st.just({})
)


def report_of(language: Language, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report with numbers in their places, named as they are here."""
    report: dict[str, Any] = {}
    for role, value in numbers.items():
        outer, _, inner = _FIELDS[language][role][0].partition(".")
        if inner:
            report.setdefault(outer, {})[inner] = value
        else:
            report[outer] = value
    return report


def said_in(language: Language, report: Mapping[str, Any]) -> str:
    """Return an event of a stream with a report in it."""
    bodies: dict[Language, dict[str, Any]] = {
        Language.CHAT: {"object": "chat.completion.chunk", "choices": [], "usage": report},
        Language.RESPONSES: {"type": "response.in_progress", "response": {"usage": report}},
        Language.MESSAGES: {"type": "message_delta", "usage": report},
        Language.GENERATE: {"candidates": [], "usageMetadata": report},
    }
    return f"data: {json.dumps(bodies[language])}"


def is_odd(value: object) -> bool:
    """Whether nothing can be counted like that."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return not (0 <= value <= 2**53) or value != int(value)


@languages
@fuzzed
@given(data=st.data())
def test_a_count_is_never_more_than_was_said_or_it_is_not_known(language: Language, data: st.DataObject) -> None:
    values = counts if data.draw(st.booleans()) else counts | odd
    numbers = {name: data.draw(values, name) for name in _FIELDS[language] if data.draw(st.booleans())}
    if data.draw(st.booleans()) and all(type(each) is int for each in numbers.values()):
        parts = ("input", "tools", "output", *(("reasoning",) if data.draw(st.booleans()) else ()))
        numbers["total"] = sum(numbers.get(name, 0) for name in parts)
    if language is Language.MESSAGES:
        numbers.pop("total", None)
    count = Count()
    count.add(language, report_of(language, numbers))
    try:
        usage = count.counted().usage
    except Contradiction:
        return
    assert not any(map(is_odd, numbers.values()))
    assert all(number >= 0 for number in usage.model_dump().values())
    assert usage.reasoning_tokens <= usage.output_tokens
    sent, written = (numbers.get(name) or 0 for name in ("input", "output"))
    assert usage.output_tokens in {written, written + (numbers.get("reasoning") or 0)}
    cached = usage.cache_read_input_tokens + usage.cache_write_input_tokens
    read = usage.input_tokens + (0 if language is Language.MESSAGES else cached)
    assert read in {sent, sent + (numbers.get("tools") or 0)}
    if numbers.get("total"):
        assert usage.total_tokens == numbers["total"]


@languages
@fuzzed
@given(
    sent=st.integers(1, 10**6),
    steps=st.lists(st.integers(0, 1000), min_size=1, max_size=8),
    cached=st.integers(0, 10**6),
    data=st.data(),
)
def test_a_running_total_is_the_same_however_it_is_told_and_cut(
    language: Language, sent: int, steps: Sequence[int], cached: int, data: st.DataObject
) -> None:
    totals = [sum(steps[: number + 1]) for number in range(len(steps))]
    numbers = [{"input": sent, "read": min(cached, sent), "output": each} for each in totals]
    if language is not Language.MESSAGES:
        numbers = [{**each, "total": sent + each["output"]} for each in numbers]
    told = [data.draw(st.sampled_from([1, 1, 2]), "times") * [each] for each in numbers]
    events = [said_in(language, report_of(language, each)) for times in told for each in times]
    ending = data.draw(st.sampled_from(["\n", "\r\n"]), "line ending")
    body = "".join(f"{each}{ending}{ending}" for each in events).encode()
    heard = hear(body, zipped=data.draw(st.booleans(), "zipped"), cuts=data.draw(st.lists(st.integers(0, len(body)))))
    only = Count()
    only.add(language, report_of(language, numbers[-1]))
    assert heard.count.counted() == only.counted()
    assert heard.count.counted().usage.output_tokens == totals[-1]


@fuzzed
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), data=st.data())
def test_nothing_that_comes_breaks_the_transcript(body: bytes, data: st.DataObject) -> None:
    prefix = data.draw(st.sampled_from([b"", b"data: ", b'{"usage": ', b"\xef\xbb\xbf", b"event: x\n"]))
    heard = hear(prefix + body, zipped=False, cuts=data.draw(st.lists(st.integers(0, 100), max_size=5)))
    with pytest.raises(Contradiction):
        heard.count.counted()
    assert heard.terms.received() == {}


def hear(body: bytes, *, zipped: bool, cuts: Sequence[int]) -> Transcript:
    """Return the transcript of a body that comes in pieces."""
    transcript = Transcript()
    encoding = {"content-encoding": "gzip"} if zipped else {}
    transcript.open({"content-type": "text/event-stream", **encoding})
    sent = gzip.compress(body) if zipped else body
    places = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    for start, end in pairwise(places):
        transcript.feed(sent[start:end])
    transcript.close()
    return transcript
