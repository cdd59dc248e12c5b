"""Damaged JSON: the same events as by trying at every brace, and never by much work."""

import io
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.ingest import json_records as module
from node.ingest.json_records import json_records

EVENT = '{"type":1,"n":"x"}'
PARTS = (
    EVENT, '{"type":{"a":[1,{}]}}', '{"type":"{"}', '{"a":', '{"a":1,', '{"a":{"type":2},"b":',
    '{"results":[', '{"', '{', '}', '[', ']', '"', '":', '":{', ',', "\n", "\\", '\\"', "1", "tru",
    "true", '{"a":"cut', '{"\\u00e9":', " ", "9" * 5000, '"x"', ":",
)  # fmt: skip


def is_event(record: dict[str, Any]) -> bool:
    return "type" in record


def by_every_brace(text: str) -> list[dict[str, Any] | None]:
    """The meaning: an object where reading stands, or the next event that starts at a brace."""
    found: list[dict[str, Any] | None] = []
    at = 0

    def whole(start: int) -> tuple[dict[str, Any], int] | None:
        try:
            value, end = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            return None
        return (value, end) if isinstance(value, dict) else None

    while True:
        while at < len(text) and (text[at].isspace() or text[at] in ",[]"):
            at += 1
        if at == len(text):
            return found
        if (result := whole(at)) is not None:
            found.append(result[0])
            at = result[1]
            continue
        found.append(None)
        at += 1
        while (at := text.find("{", at)) >= 0:
            result = whole(at)
            if result is not None and is_event(result[0]):
                break
            at = result[1] if result is not None else at + 1
        if at < 0:
            return found


def by_node(text: str) -> list[dict[str, Any] | None]:
    return [record for record, *_ in json_records(io.BytesIO(text.encode()), is_event)]


@pytest.mark.parametrize("piece", [4, 64, 4096])
@given(parts=st.lists(st.sampled_from(PARTS), max_size=30))
@example(parts=['{"a":{"type":2},"b":'] * 8)
@example(parts=['{"a":', EVENT, ",", EVENT, '{":{":'])
@settings(deadline=None, max_examples=400)
def test_the_same_events_as_by_trying_at_every_brace(piece: int, parts: list[str]) -> None:
    text = "".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FIRST_PIECE", piece)
        patch.setattr(module, "_CHUNK", 7)
        assert by_node(text) == by_every_brace(text)


@pytest.mark.parametrize("levels", [100, 499, 600, 1500])
@pytest.mark.parametrize("opening", ['{"a":', '{"a":[', '{"type":1,"a":[[[['])
def test_an_event_beside_and_inside_what_is_too_deep_is_found(levels: int, opening: str) -> None:
    text = opening * levels + "\n" + EVENT + "\n" + opening * levels + "1}\n" + EVENT
    events = [one for one in by_node(text) if one is not None and one.get("n") == "x"]
    assert len(events) == 2


@pytest.mark.parametrize("levels", [10, 300])
def test_an_event_with_some_levels_beside_what_is_too_deep_is_found(levels: int) -> None:
    inner = '{"type":1,"n":"x","a":' + '{"a":' * levels + "1" + "}" * levels + "}"
    deep = '{"b":' * 1500 + "1" + "}" * 1500
    text = f'{{"deep":{deep},"rest":{inner}}}' + "\n" + EVENT
    events = [one for one in by_node(text) if one is not None and one.get("n") == "x"]
    assert len(events) == 2


def test_what_is_longer_than_a_record_may_be_gives_up_no_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MAX_RECORD", 1 << 10)
    monkeypatch.setattr(module, "_FIRST_PIECE", 1 << 6)
    monkeypatch.setattr(module, "_CHUNK", 100)
    events = [f'{{"type":{n},"pad":"{"p" * (n % 90)}"}}' for n in range(200)]
    text = '{"results":[' + ",".join(events) + "]}"
    found = [one["type"] for one in by_node(text) if one is not None and "pad" in one]
    assert found == list(range(200))


SIZE = 60_000
SLOW = {
    "a string cut at each line": '{"a":"\n',
    "objects in objects, lines": '\n{"a":',
    "events between": '{"x":{"type":1},"y":',
    "both ways round": '{":{":',
    "strings of braces": '{"',
    "braces": "{",
    "too deep": '{"x":' * 1200 + "1" + "}" * 1200,
    "too deep, lists": '{"x":' * 500 + "[" * 1200 + "1" + "]" * 1200 + "}" * 500,
    "too deep, open": '{"x":' + "[" * 1200 + "\n",
    "long numbers": '{"x":' * 900 + "9" * 5000 + "}" * 900,
}


@pytest.mark.parametrize("end", ["", '"' + "x" * SIZE, "[" * 30, "\n" + EVENT])
@pytest.mark.parametrize("name", SLOW)
def test_no_damage_makes_more_work_than_some_times_its_length(
    name: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SLOW[name] * (SIZE // len(SLOW[name]) + 1) + end
    work = 0

    def count(plain: Any) -> Any:
        def counted(buffer: str, at: Any) -> Any:
            nonlocal work
            result = plain(buffer, at)
            if plain is failing:
                work += at.at
            else:
                work += (result[1] if isinstance(result[0], dict) else result.at) - at + 1
            return result

        return counted

    failing = module._failing
    monkeypatch.setattr(module, "_try", count(module._try))
    monkeypatch.setattr(module, "_failing", count(failing))
    found = by_node(text)
    assert work <= 16 * len(text)
    assert (found[-1] == json.loads(EVENT)) is end.endswith(EVENT)
