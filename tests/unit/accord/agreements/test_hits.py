"""Hits in an agreement: asked for only where the text names their lists."""

from dataclasses import replace

import pytest

from accord.agreements.differences import differences
from accord.agreements.effects import Narrowing
from accord.agreements.lint import findings
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.parents import stricter
from accord.agreements.provisions import HotListRule, Stale
from accord.agreements.words import clauses
from accord.errors import Code, InputError
from accord.model import AreaBox, ExactPlate, HitsOf
from tests.unit.accord.agreements.conftest import NOW_MS

PLATE = HitsOf(ExactPlate("TEST001"))
AREA = HitsOf(AreaBox(0, 0, 1, 1))
RULE = '[hot_lists]\nsection = "III"\nshared = ["list"]\n'


def read(world, **options):
    return parse_manifest(world.text(**options), "x")


def decision(world, selector, policy: str = "", **options):
    agreement = world.agreement(**options)
    return world.ask(world.query(agreement, selector=selector), agreement, policy)


def test_hits_are_asked_for_where_their_lists_are_named(world):
    for selector in (PLATE, AREA):
        said = decision(world, selector, hits=["Stolen vehicles"])
        assert said.allowed
        assert said.terms.hot_lists.hits == {"Stolen vehicles"}


def test_without_it_nobody_asks_for_hits(world):
    for kinds in (("reads", "hot-list"), ("reads",)):
        said = decision(world, PLATE, kinds=kinds)
        assert (said.code, said.section) == (Code.KIND_NOT_AGREED, "II.A")
        assert "does not share hits" in said.reason


def test_the_place_of_hits_is_that_of_reads(world):
    said = decision(world, AREA, hits=["a"], place="none")
    assert said.code is Code.FIELD_NOT_SHARED
    assert decision(world, PLATE, hits=["a"], place="none").allowed


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"kinds": ("reads", "hits")}, 'kinds holds "hits", yet nothing says of which lists'),
        ({"kinds": ("reads", "hits"), "tables": RULE}, "yet nothing says of which lists"),
        ({"tables": RULE + 'hits = ["a"]\n'}, "hits is given although scope.kinds does not hold"),
        ({"tables": RULE + 'lists = ["a", "a"]\n'}, "lists holds 'a' twice"),
        ({"tables": RULE + "lists = []\n"}, "lists is empty"),
    ],
)
def test_a_text_that_says_it_by_halves_can_not_be_read(world, options, problem):
    with pytest.raises(InputError) as error:
        read(world, **options)
    assert problem in str(error.value)
    assert "line " in str(error.value)


def test_the_text_is_told_in_words_and_its_changes_are(world):
    without, with_hits = read(world), read(world, hits=["Stolen vehicles"])
    assert "Hits" not in " ".join(clause.text for clause in clauses(without))
    told = " ".join(clause.text for clause in clauses(with_hits))
    assert "Hits may be asked for of Stolen vehicles." in told
    assert "hits, hot-list" in told.replace(" and ", ", ")
    gained = [change.text for change in differences(without, with_hits)]
    assert any("may ask for hits" in text for text in gained)
    some = read(world, tables=RULE + 'lists = ["Amber"]\n')
    assert "of the lists Amber alone" in " ".join(clause.text for clause in clauses(some))


def test_what_is_said_badly_of_hits_is_found(world):
    def keys(text: bytes) -> set[str]:
        return {one.key for one in findings(parse_manifest(text, "x"))}

    text = world.text(hits=["a"])
    assert "hot_lists.max_age_hours" in keys(text)
    assert "hot_lists.hits" not in keys(text)
    aged = text.replace(b'hits = ["a"]', b'hits = ["a"]\nmax_age_hours = 24')
    assert "hot_lists.max_age_hours" not in keys(aged)
    undeclared = text.replace(b'id = "verify-before-action"', b'id = "something-else"')
    assert "hot_lists.hits" in keys(undeclared)
    assert {"hot_lists.hits", "hot_lists.max_age_hours"} & keys(world.text()) == set()


def test_a_parent_bounds_lists_and_hits(world):
    rule = HotListRule("III", None, None, Stale.MARKED, True, True, True)
    terms = decision(world, PLATE, hits=["a", "b"]).terms
    above = replace(
        terms, hot_lists=replace(rule, lists=frozenset({"b", "c"}), hits=frozenset({"b"}))
    )
    both = stricter(terms, above, 0).hot_lists
    assert (both.hits, both.lists) == ({"b"}, {"b", "c"})


def test_the_policy_can_leave_them_out(world):
    for kinds, allowed in (('["hits"]', True), ('["reads", "hot-list"]', False)):
        said = decision(world, PLATE, f"kinds = {kinds}", hits=["a"])
        assert said.allowed is allowed
        if not allowed:
            assert (said.code, said.detail) == (Code.LOCAL_POLICY, "kinds")
    assert decision(world, AREA, 'place = "none"', hits=["a"]).code is Code.LOCAL_POLICY


def test_own_officers_ask_for_hits_under_the_policy_alone(world):
    query = world.query(
        None, selector=PLATE, requesting_agency="harbor", officer={"agency": "harbor"}
    )
    said = world.ask(query, None)
    assert said.allowed
    assert said.terms.hot_lists is None


def purposes(world, policy: str = "", **options) -> set[str] | None:
    """The purposes that what is listed may be for, of a query that is allowed."""
    said = decision(world, PLATE, policy, hits=["a"], **options)
    assert said.allowed
    return said.terms.purposes


def test_what_is_listed_is_given_for_the_purposes_that_text_and_policy_allow(world):
    allowed = ("stolen-vehicle", "wanted-person", "amber-alert")
    assert purposes(world, purposes=allowed) == set(allowed)
    narrow = 'purposes = ["stolen-vehicle", "hit-and-run"]'
    assert purposes(world, narrow, purposes=allowed) == {"stolen-vehicle"}
    query = world.query(
        None, selector=PLATE, requesting_agency="harbor", officer={"agency": "harbor"}
    )
    assert world.ask(query, None).terms.purposes is None


def test_a_purpose_that_is_suspended_is_no_category_either(world):
    agreement = world.agreement(hits=["a"])
    gone = Narrowing(
        frozenset({"city", "harbor"}), 0, 0, NOW_MS + 1, frozenset({"wanted-person"}),
        frozenset(), "II.A", "suspended",
    )  # fmt: skip
    query = world.query(agreement, selector=PLATE)
    before = world.ask(query, agreement).terms.purposes
    after = world.ask(query, replace(agreement, beside=(gone,))).terms.purposes
    assert before - after == {"wanted-person"}
    over = replace(gone, until_ms=NOW_MS)
    assert world.ask(query, replace(agreement, beside=(over,))).terms.purposes == before


def test_explain_tells_what_becomes_of_other_purposes(world):
    told = {clause.name: clause.text for clause in clauses(read(world, hits=["a"]))}
    assert "for another purpose is withheld" in told["Purposes"]
    told = {clause.name: clause.text for clause in clauses(read(world, kinds=("reads",)))}
    assert "hot list" not in told["Purposes"]


def test_a_parent_bounds_what_is_listed(world):
    terms = decision(world, PLATE, hits=["a"]).terms
    above = replace(terms, purposes=frozenset({"wanted-person", "hit-and-run"}))
    assert stricter(terms, above, 0).purposes == {"wanted-person"}
    assert stricter(terms, replace(terms, purposes=None), 0).purposes == terms.purposes
