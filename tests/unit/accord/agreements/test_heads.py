"""Heads: signed by a party's node, and what an agreement is without a fresh one."""

import json
from dataclasses import replace

import pytest

from accord import envelope as dsse
from accord.agreements.decide import decide
from accord.agreements.differences import differences
from accord.agreements.effective import Standing, effective
from accord.agreements.heads import (
    HOUR_MS,
    MAX_BYTES,
    Head,
    is_fresh,
    sign_head,
    verify_head,
    withheld,
)
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest import HeadsRule
from accord.agreements.reasons import Held, steps
from accord.agreements.words import clauses
from accord.envelope import sign
from accord.envelope_json import to_json
from accord.errors import CATALOGUE, Code, InputError, Mark, Unverified
from accord.keys import PrivateKey
from tests.unit.accord.agreements.conftest import NOW_MS

NODE = PrivateKey.generate()
DAY = HeadsRule("V", 24)
DIGEST = "ab" * 32


def head(party: str = "city", **changes: object) -> Head:
    fields = {
        "number": 3,
        "as_of_ms": NOW_MS - HOUR_MS,
        "expires_ms": NOW_MS + 23 * HOUR_MS,
        "instruments": (DIGEST,),
    }
    return Head(party, **(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def city(world):
    return replace(
        world.agencies["city"], keys={"node": (NODE.public,), **world.agencies["city"].keys}
    )


def test_what_a_node_signed_is_what_is_read(world, city):
    manifest = world.manifest(head_hours=24)
    assert verify_head(sign_head(manifest, head(), NODE), manifest, city, "x") == head()


def test_only_a_node_key_of_that_very_party_signs(world, city):
    manifest = world.manifest(head_hours=24)
    for key in (world.keys["city"], PrivateKey.generate()):
        with pytest.raises(Unverified, match="the node of city"):
            verify_head(sign_head(manifest, head(), key), manifest, city, "x")
    with pytest.raises(InputError, match="is the head of 'harbor'"):
        verify_head(sign_head(manifest, head("harbor"), NODE), manifest, city, "x")
    hub, joined = world.agencies["hub"], world.agencies["hub"].root
    stranger = sign_head(manifest, head("hub"), NODE)
    with pytest.raises(InputError, match="'hub' is not a party"):
        verify_head(stranger, manifest, hub, "x")
    # Where members have admitted it, its own node's key counts, and no other's.
    hub = replace(hub, keys={"node": (NODE.public,)})
    assert verify_head(stranger, manifest, hub, "x", root=joined).party == "hub"
    with pytest.raises(InputError, match="another root key"):
        verify_head(stranger, manifest, hub, "x", root="0" * 64)
    with pytest.raises(InputError, match="another root key"):
        verify_head(sign_head(manifest, head(), NODE), manifest, replace(city, root="0" * 64), "x")


def test_a_head_of_another_text_or_kind_is_none(world, city):
    manifest, other = world.manifest(head_hours=24), world.manifest(head_hours=25)
    with pytest.raises(InputError, match="belongs to another text"):
        verify_head(sign_head(other, head(), NODE), manifest, city, "x")
    with pytest.raises(InputError, match="is larger than 128 KiB"):
        verify_head(b"x" * (MAX_BYTES + 1), manifest, city, "x")
    signed = sign_head(manifest, head(), NODE)
    with pytest.raises(Unverified):
        verify_head(signed.replace(b"vnd.accord.head", b"vnd.accord.heat"), manifest, city, "x")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"number": 0}, "is not a head of this version"),
        ({"number": "4"}, "is not a head of this version"),
        ({"number": 1 << 50}, "has a number too far ahead of its time"),
        ({"more": 1}, "is not a head of this version"),
        ({"format": "accord-head/2"}, "must be accord-head/1"),
        ({"as_of": "2026-03-01"}, "has no valid times"),
        ({"expires_at": "2026-02-01T00:00:00.000Z"}, "before it begins"),
        ({"expires_at": "2026-05-01T00:00:00.000Z"}, "expires too late"),
        ({"instruments": ["AB" * 32]}, "no hash"),
        ({"instruments": [DIGEST] * 1001}, "is not a head of this version"),
    ],
)
def test_a_head_that_says_what_none_can_say(world, city, changes, words):
    manifest = world.manifest(head_hours=24)
    content = {
        "format": "accord-head/1",
        "agreement": manifest.id,
        "manifest_sha256": manifest.digest.hex(),
        "party": "city",
        "number": 1,
        "as_of": "2026-03-01T11:00:00.000Z",
        "expires_at": "2026-03-02T11:00:00.000Z",
        "instruments": [],
    }

    def signed(said: dict) -> bytes:
        return to_json(sign(dsse.HEAD, json.dumps(said).encode(), NODE))

    assert verify_head(signed(content), manifest, city, "x").number == 1
    with pytest.raises(InputError, match=words):
        verify_head(signed(content | changes), manifest, city, "x")


def test_how_long_a_head_is_fresh():
    one = head(as_of_ms=NOW_MS, expires_ms=NOW_MS + 720 * HOUR_MS)
    assert is_fresh(one, DAY, NOW_MS)
    assert is_fresh(one, DAY, NOW_MS + 24 * HOUR_MS)
    assert not is_fresh(one, DAY, NOW_MS + 24 * HOUR_MS + 1)
    assert is_fresh(one, DAY, NOW_MS - 30_000)
    assert not is_fresh(one, DAY, NOW_MS - 30_001)
    short = replace(one, expires_ms=NOW_MS + HOUR_MS)
    assert is_fresh(short, DAY, NOW_MS + HOUR_MS - 1)
    assert not is_fresh(short, DAY, NOW_MS + HOUR_MS)


def test_what_a_head_names_must_be_held():
    named = (DIGEST, "cd" * 32)
    held = {("city", 1): DIGEST, ("city", 2): "cd" * 32, ("city", 3): "ef" * 32}
    assert withheld("city", named, held) is None
    assert withheld("city", named, held | {("city", 2): "00" * 32}) == 2
    assert withheld("city", named, {("harbor", 1): DIGEST}) == 1


@pytest.mark.parametrize("silent", ["city", "harbor"])
def test_without_a_fresh_head_of_each_nothing_is_allowed(world, silent):
    fresh = tuple(head(party, instruments=()) for party in ("city", "harbor"))
    old = {"as_of_ms": NOW_MS - 25 * HOUR_MS, "expires_ms": NOW_MS + HOUR_MS}
    agreement = replace(world.agreement(head_hours=24), heads=fresh)
    query = world.query(agreement)
    assert world.ask(query, agreement).allowed
    for heads in (
        tuple(one for one in fresh if one.party != silent),
        tuple(replace(one, **old) if one.party == silent else one for one in fresh),
    ):
        stale = replace(agreement, heads=heads)
        folded = effective(stale, "city", "harbor", NOW_MS)
        assert (folded.standing, folded.stale) == (Standing.HEAD_STALE, silent)
        for policy in ("", None):
            decision = world.ask(query, stale, policy)
            assert (decision.code, decision.section) == (Code.HEAD_STALE, "V")
            assert decision.contact == f"alpr@{silent}.example"
            assert f"No head of {silent} from the last 24 h is held" in decision.reason
        assert CATALOGUE[Code.HEAD_STALE].mark is Mark.ALERT
        assert decision.refusal().status == "FAILED_PRECONDITION"
        found = steps(query, folded, decision)
        refused = [step for step in found if step.held is Held.NO]
        assert [step.section for step in refused] == ["V"]
        assert "both nodes said within 24 h" in refused[0].rule


def test_a_text_that_demands_no_heads_is_as_it_was(world):
    agreement = world.agreement()
    assert agreement.heads == ()
    assert world.ask(world.query(agreement), agreement).allowed
    demanding = world.agreement(head_hours=24)
    assert not world.ask(world.query(demanding), demanding).allowed
    unlooked = replace(demanding, heads=None)
    assert world.ask(world.query(unlooked), unlooked).allowed


def test_the_text_says_it_and_a_difference_is_told(world):
    without, day, hour = (world.manifest(head_hours=n) for n in (None, 24, 1))
    said = next(clause for clause in clauses(day) if clause.name == "Heads")
    assert "older than 24 hours, nothing is shared" in said.text
    assert not [clause for clause in clauses(without) if clause.name == "Heads"]
    (change,) = differences(without, day)
    assert "older than 24 hours" in change.text
    (change,) = differences(day, hour)
    assert "older than one hour" in change.text
    (change,) = differences(day, without)
    assert "no node has to say" in change.text
    assert differences(day, day) == ()


@pytest.mark.parametrize("hours", [0, 721, -1])
def test_hours_that_no_text_can_say(world, hours):
    assert world.manifest(head_hours=720).heads == HeadsRule("V", 720)
    with pytest.raises(InputError, match=r"heads\.max_age_hours"):
        world.manifest(head_hours=hours)


def test_law_is_not_widened_by_heads(world):
    """Whatever the heads say, what the text does not hold stays refused."""
    agreement = replace(
        world.agreement(head_hours=24),
        heads=tuple(head(party, instruments=()) for party in ("city", "harbor")),
    )
    query = world.query(agreement, purpose="missing-person")
    folded = effective(agreement, "city", "harbor", NOW_MS)
    decision = decide(
        query, folded, None, NOW_MS,
        requester=world.agencies["city"], owner=world.agencies["harbor"], law=built_in_law(),
    )  # fmt: skip
    assert decision.code is Code.PURPOSE_NOT_AGREED
