"""What each code of the closed catalogue must carry: a section, and whom to talk to.

A new code needs its place in ``accord/contacts.py`` and, unless no section of
any text stands behind it, something here that provokes it.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from accord.agreements.decide import policy_refusal
from accord.agreements.effective import effective
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.contacts import UNCITED, WHOM, Whom, whom_to_ask
from accord.errors import CATALOGUE, Code, Refused
from accord.model import Approval, ApprovalKind
from accord.roster import Officer, Roster, check_approver, check_officer
from accord.testing import FixedClock
from node.rates import Bound, Throttle
from tests.unit.accord.agreements import test_provisions as provisions
from tests.unit.accord.agreements.conftest import NOW_MS
from tests.unit.accord.agreements.test_decide import ROWS

OFFICER = Officer("o-17", "Sam Poe", "detective", "good", "2025-11-21", frozenset({"hit-and-run"}))
OLD_MS = NOW_MS - 16 * 60_000


def by_decision(world) -> Iterator[Refused]:
    """Everything that the decision table and the provisions refuse."""
    for row in ROWS:
        text = world.text(**row.manifest).decode().replace(*row.edit, 1).encode()
        agreement = world.agreement(parse_manifest(text, "x"))
        signed = tuple(one for one in agreement.counterparts if one.party != row.unsigned)
        agreement = replace(agreement, counterparts=signed)
        query = world.query(agreement, officer=row.officer, **row.query)
        held = None if row.missing else agreement
        decision = world.ask(query, held, row.policy, row.at_ms)
        if not decision.allowed:
            yield decision.refusal()
    for _, more, swap, refused, _, _, _ in provisions.CASES:
        found = provisions.manifest(world, more, *([swap] if swap else []))
        yield provisions.decision(world, found, **refused).refusal()
    found = provisions.manifest(world, provisions.REQUESTERS)
    yield provisions.ask_as(world, found).refusal()
    found = provisions.manifest(world, provisions.OPERATOR)
    yield provisions.ask_as(world, found, via="other").refusal()
    one = Instrument(
        "city", 1, InstrumentKind.SUSPENSION, "J", "C", NOW_MS - 1, Details(reason="x")
    )
    agreement = replace(world.agreement(), instruments=(one,))
    yield world.ask(world.query(agreement), agreement).refusal()
    agreement = replace(world.agreement(), inactive_at="harbor")
    yield world.ask(world.query(agreement), agreement).refusal()
    agreement = world.agreement(head_hours=24)
    yield world.ask(world.query(agreement), agreement).refusal()
    agreement = world.agreement()
    yield world.ask(world.query(agreement, attestations=()), agreement).refusal()
    query = world.query(agreement, requesting_agency="hub", officer={"agency": "hub"})
    yield world.ask(query, agreement).refusal()


def by_home_node(world) -> Iterator[Refused]:
    """What the roster and the rates refuse."""
    good = {OFFICER.id: OFFICER}
    credential = world.query(None).credential
    for roster in (
        Roster("city", 1, OLD_MS, good),
        Roster("city", 1, NOW_MS, {}),
        Roster("city", 1, NOW_MS, {OFFICER.id: replace(OFFICER, standing="suspended")}),
        Roster("city", 1, NOW_MS, {OFFICER.id: replace(OFFICER, role="sergeant")}),
        Roster("city", 1, NOW_MS, good),
    ):
        with pytest.raises(Refused) as refused:
            check_officer(roster, credential, "stolen-vehicle", NOW_MS, "II.A")
        yield refused.value
    approval = Approval(ApprovalKind.SUPERVISOR, "o-17", "1", "2026-02-28")
    with pytest.raises(Refused) as refused:
        check_approver(Roster("city", 1, NOW_MS, {}), approval, "o-17", "II.A")
    yield refused.value
    throttle, bound = Throttle(FixedClock(NOW_MS)), Bound(("answer", "city"), 60_000, 1)
    throttle.count([bound])
    with pytest.raises(Refused) as refused:
        throttle.count([bound])
    yield refused.value


@pytest.fixture(scope="module")
def provoked(world):
    found: dict[Code, list[Refused]] = {}
    for refused in (*by_decision(world), *by_home_node(world)):
        found.setdefault(refused.code, []).append(refused)
    return found


def whom(world, refused: Refused) -> str:
    """As the owner's node fills it in: the city asks the harbor."""
    city, harbor = world.agencies["city"], world.agencies["harbor"]
    return refused.contact or whom_to_ask(refused.code, home=city, owner=harbor, here=harbor)


def test_every_code_has_somebody_and_none_two():
    assert set(WHOM) == set(Code) == set(CATALOGUE)
    assert set(Code) >= UNCITED


@pytest.mark.parametrize("code", sorted(set(Code) - UNCITED))
def test_a_refusal_names_its_section_its_reason_and_whom_to_talk_to(world, provoked, code):
    assert code in provoked, "nothing here provokes it"
    for refused in provoked[code]:
        assert refused.section.strip(), refused
        assert refused.text.strip()
        assert whom(world, refused) in {"alpr@city.example", "alpr@harbor.example"}


@pytest.mark.parametrize("code", sorted(UNCITED))
def test_who_is_known_learns_whom_to_talk_to_even_where_no_text_stands_behind_it(world, code):
    strangers = {Code.PEER_REFUSED, Code.DEADLINE_MISSING, Code.MESSAGE_LATE}
    assert bool(whom(world, Refused(code))) is (code not in strangers)
    assert (WHOM[code] is Whom.NOBODY) is (code in strangers)


@pytest.mark.parametrize(
    ("code", "contact"),
    [
        (Code.ROSTER_STALE, "alpr@city.example"),
        (Code.OFFICER_UNKNOWN, "alpr@city.example"),
        (Code.PURPOSE_PROHIBITED, "alpr@city.example"),
        (Code.NO_AGREEMENT, "alpr@harbor.example"),
        (Code.LOCAL_POLICY, "alpr@harbor.example"),
        (Code.NODE_UNREACHABLE, "alpr@harbor.example"),
        (Code.INTERNAL, "alpr@hub.example"),
    ],
)
def test_it_is_who_can_do_something_about_it(world, code, contact):
    home, owner, here = (world.agencies[name] for name in ("city", "harbor", "hub"))
    assert whom_to_ask(code, home=home, owner=owner, here=here) == contact
    assert whom_to_ask(code, home=None, owner=None, here=None) == ""


def test_the_owners_policy_is_not_told_apart(world, provoked):
    """Whatever in it refuses, and that it can't be read, is one refusal to the outside."""
    agreement = world.agreement()
    query = world.query(agreement)
    folded = effective(agreement, "city", "harbor", NOW_MS)
    unread = policy_refusal(query, folded, "policy.toml can't be read").refusal()
    seen = {(one.section, one.text, one.contact) for one in (*provoked[Code.LOCAL_POLICY], unread)}
    assert seen == {("II.B", CATALOGUE[Code.LOCAL_POLICY].text, "alpr@harbor.example")}
    assert len({one.detail for one in provoked[Code.LOCAL_POLICY]}) > 3


def test_one_line_says_all_of_it():
    refused = Refused(Code.NO_AGREEMENT, section="II.A", contact="the desk")
    assert str(refused) == (
        "NO_AGREEMENT (II.A): No agreement allows this agency to ask the other. "
        "Whom to talk to: the desk"
    )
    assert "Whom" not in str(Refused(Code.NO_AGREEMENT))
