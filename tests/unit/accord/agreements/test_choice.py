"""Which of several agreements a query relies on, and whose reason is told where none allows."""

from dataclasses import replace

import pytest

from accord.agreements.choice import relying
from accord.agreements.law.packs import built_in_law
from accord.agreements.reasons import reached
from accord.errors import Code
from accord.model import HotListPlate
from tests.unit.accord.agreements.conftest import NOW_MS

OPERATOR = """
[[roles]]
section = "I.C"
role = "operator"
name = "Hub"
sees = "answers"
agency = "{}"
"""


def chosen(world, texts, via="", **changes):
    """Return the place of the text relied on, the newest first, and what is decided under it."""
    found = relying(
        world.query(None, **changes), texts, NOW_MS, via=via, law=built_in_law(),
        requester=world.agencies["city"], owner=world.agencies["harbor"],
    )  # fmt: skip
    query, folded = found
    place = [one.manifest.digest for one in texts].index(query.agreement_digest)
    assert folded.agreement is texts[place]
    return place, world.decide_as(query, texts[place], world.agencies["city"], via)


@pytest.mark.parametrize(
    ("newest", "older", "changes", "place", "code"),
    [
        ({"purposes": ["amber-alert"]}, {}, {"row_limit": 501}, 1, Code.ROW_LIMIT_EXCEEDED),
        ({"purposes": ["amber-alert"]}, {}, {"row_limit": 500}, 1, None),
        ({}, {"purposes": ["amber-alert"]}, {"row_limit": 501}, 0, Code.ROW_LIMIT_EXCEEDED),
        # The newest has more rules, of which more held; it was refused earlier all the same.
        (
            {"tables": OPERATOR.format("hub"), "purposes": ["amber-alert"], "approval": "court"},
            {"case_number": "optional", "reason": "optional"},
            {"attestations": ()}, 1, Code.ATTESTATION_REQUIRED,
        ),
        (
            {"case_number": "optional", "reason": "optional"},
            {"tables": OPERATOR.format("hub"), "kinds": ("reads",), "approval": "court"},
            {"selector": HotListPlate("7ABC123"), "attestations": ()}, 0,
            Code.ATTESTATION_REQUIRED,
        ),
        # Alike: the newest, either way round.
        ({"row_limit": 20}, {}, {"row_limit": 501}, 0, Code.ROW_LIMIT_EXCEEDED),
        ({}, {"row_limit": 20}, {"row_limit": 501}, 0, Code.ROW_LIMIT_EXCEEDED),
        ({"tables": OPERATOR.format("other")}, {}, {"row_limit": 501}, 1, Code.ROW_LIMIT_EXCEEDED),
        ({"tables": OPERATOR.format("other")}, {}, {}, 1, None),
        # What the law forbids it forbids under every text.
        ({"purposes": ["amber-alert"]}, {}, {"purpose": "personal"}, 0, Code.PURPOSE_PROHIBITED),
    ],
)  # fmt: skip
def test_the_text_that_got_furthest_is_the_one_whose_reason_is_told(
    world, newest, older, changes, place, code
):
    texts = [world.agreement(**newest), world.agreement(**older)]
    found, decision = chosen(world, texts, "hub", **changes)
    assert (found, decision.code) == (place, code)


def test_of_a_draft_and_a_text_in_force_the_one_in_force_is_told(world):
    draft = replace(world.agreement(row_limit=20), counterparts=())
    for texts in ([world.agreement(), draft], [draft, world.agreement()]):
        place, decision = chosen(world, texts, row_limit=501)
        assert (texts[place] is draft, decision.code) == (False, Code.ROW_LIMIT_EXCEEDED)


def test_without_any_agreement_the_query_is_as_it_was(world):
    query = world.query(None)
    facts = {"requester": world.agencies["city"], "owner": world.agencies["harbor"]}
    assert relying(query, [], NOW_MS, law=built_in_law(), **facts) == (query, None)


def test_nothing_refused_what_is_allowed(world):
    agreement = world.agreement()
    query = world.query(agreement)
    _, folded = relying(
        query, [agreement], NOW_MS, law=built_in_law(),
        requester=world.agencies["city"], owner=world.agencies["harbor"],
    )  # fmt: skip
    with pytest.raises(ValueError, match="allowed"):
        reached(query, folded, world.ask(query, agreement))
