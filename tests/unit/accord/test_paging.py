"""Pages of several agencies: nobody holds the others back, and nobody asks for ever."""

from dataclasses import replace

import pytest

from accord import paging
from accord.errors import Code, Unverified
from accord.model import AnswerBody, Duty, OutcomeKind, SharedRead
from accord.outcomes import places
from accord.paging import Paging
from accord.results import AgencyOutcome, Result
from accord.wire.v1 import broker_pb2

T = 1_790_000_000_000


def read(agency: str, age: int, number: int | None = None) -> SharedRead:
    name = f"{agency}-{age if number is None else number}".encode()
    return SharedRead(name, agency, "9TST001", "CA", T - age, 1, None, "", False, None, 0, b"")


def page(agency: str, *ages: int, more: bool) -> AnswerBody:
    return AnswerBody(
        query_digest=b"",
        query_id=b"",
        agency=agency,
        requesting_agency="harbor",
        agreement_digest=b"",
        answered_at_ms=T,
        reads=tuple(read(agency, age) for age in ages),
        complete=not more,
        next_cursor=b"more" if more else b"",
        frontier_ms=T - ages[-1] if more else 0,
    )


def take(taking: Paging, *answers: AnswerBody, failed: str = "") -> Result:
    kinds = {
        a.agency: OutcomeKind.ANSWERED if a.complete else OutcomeKind.TRUNCATED for a in answers
    }
    if failed:
        kinds[failed] = OutcomeKind.UNREACHABLE
    outcomes = tuple(AgencyOutcome(name, kind, True) for name, kind in kinds.items())
    return taking.take(Result("id", outcomes), answers)


def ages(result: Result) -> list[tuple[str, int]]:
    return [(r.originator, T - r.captured_ms) for r in result.reads]


def test_rows_wait_until_every_agency_has_come_as_far() -> None:
    taking = Paging()
    first = take(taking, page("city", 1, 5, more=True), page("county", 2, 9, more=False))
    assert (ages(first), first.waiting) == ([("city", 1), ("county", 2)], 2)
    assert taking.cursors == {"city": b"more"}
    last = take(taking, page("city", 7, more=False))
    assert ages(last) == [("city", 5), ("city", 7), ("county", 9)]
    assert (last.waiting, last.complete, last.warnings, taking.cursors) == (0, True, (), {})


def test_an_outcome_counts_all_pages_and_keeps_their_duty() -> None:
    duty = Duty(T + 1, "IV")
    taking = Paging()
    kinds = (OutcomeKind.TRUNCATED, OutcomeKind.TRUNCATED, OutcomeKind.UNREACHABLE)
    pages = ([page("city", 1, 5, more=True)], [page("city", 7, more=True)], [])
    for kind, answers in zip(kinds, pages, strict=True):
        rows = sum(len(one.reads) for one in answers)
        outcome = AgencyOutcome("city", kind, True, rows, duty=duty if rows else None)
        last = taking.take(Result("id", (outcome,)), answers)
    (told,) = last.outcomes
    assert (told.kind, told.rows, told.duty) == (OutcomeKind.UNREACHABLE, 3, duty)
    assert last.delete_by_ms(last.reads[0]) == T + 1


def test_an_agency_that_fails_later_holds_nobody_back() -> None:
    taking = Paging()
    take(taking, page("city", 1, 5, more=True), page("county", 2, 9, more=True))
    last = take(taking, page("county", 12, more=False), failed="city")
    assert ages(last) == [("city", 5), ("county", 9), ("county", 12)]
    assert [o.kind for o in last.outcomes] == [OutcomeKind.UNREACHABLE, OutcomeKind.ANSWERED]
    assert last.warnings == ("city did not give all its pages: older reads may be missing.",)
    assert not last.complete


def loose(body: AnswerBody, *away: int) -> AnswerBody:
    pairs = zip(body.reads, away, strict=True)
    return replace(body, reads=tuple(replace(r, substitutions=n) for r, n in pairs))


def test_what_looks_alike_waits_behind_what_is_closer() -> None:
    taking = Paging()
    city, county = page("city", 5, 3, more=True), page("county", 9, 1, 2, more=False)
    first = take(taking, loose(city, 0, 1), loose(county, 0, 1, 2))
    assert (ages(first), first.waiting) == ([("city", 5), ("county", 9), ("county", 1)], 2)
    last = take(taking, loose(page("city", 4, 1, more=False), 1, 2))
    # A later page may hold newer reads, if they are farther away.
    assert ages(last) == [("city", 3), ("city", 4), ("city", 1), ("county", 2)]
    assert (last.complete, last.warnings) == (True, ())


def test_a_page_of_closer_look_alikes_after_farther_ones_is_no_page() -> None:
    taking = Paging()
    take(taking, loose(page("city", 5, 3, more=True), 0, 1))
    last = take(taking, loose(page("city", 9, more=False), 0))
    assert last.outcomes[0].kind is OutcomeKind.UNVERIFIED


@pytest.mark.parametrize(
    "second",
    [
        page("city", 1, 5, more=True),
        page("city", 5, 8, more=True),
        page("city", 3, 4, more=True),
        replace(page("city", 3, more=False), frontier_ms=T),
        page("city", 3, 8, more=True),
        page("city", 3, more=False),
    ],
    ids=[
        "the same page",
        "a known row",
        "going back",
        "complete and going back",
        "a row left out before",
        "complete with a row left out before",
    ],
)
def test_a_page_that_does_not_go_on_is_not_shown(second: AnswerBody) -> None:
    taking = Paging()
    take(taking, page("city", 1, 5, more=True), page("county", 2, 9, more=False))
    last = take(taking, second)
    assert ages(last) == [("city", 5), ("county", 9)]
    assert last.outcomes[0].kind is OutcomeKind.UNVERIFIED
    assert last.outcomes[0].code == Code.ANSWER_UNVERIFIED
    assert taking.cursors == {}
    assert len(last.warnings) == 1


def test_nobody_asks_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_PAGES", 3)
    taking = Paging()
    for age in (1, 2):
        take(taking, page("city", age, more=True))
        assert taking.cursors
    last = take(taking, page("city", 3, more=True))
    assert taking.cursors == {}
    assert ages(last) == [("city", 2), ("city", 3)]
    assert not last.complete
    assert "older reads may be missing" in last.warnings[0]


def outcomes(*agencies: str) -> list[broker_pb2.NodeOutcome]:
    return [broker_pb2.NodeOutcome(agency=agency) for agency in agencies]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (("city", "county"), [0, 1]),
        (("", "county"), [0, 1]),
        (("", ""), [0, 1]),
        (("county", "city"), [1, 0]),
        (("county",), [None, 0]),
        (("city", "other"), [0, None]),
        ((), [None, None]),
    ],
)
def test_each_agency_has_the_outcome_that_is_its_own(
    said: tuple[str, ...], expected: list[int | None]
) -> None:
    assert places(["city", "county"], outcomes(*said)) == expected


def test_two_outcomes_for_one_agency_are_none() -> None:
    with pytest.raises(Unverified, match="two outcomes"):
        places(["city", "county"], outcomes("city", "city"))
