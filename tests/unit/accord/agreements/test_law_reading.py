"""A pack of the law is read strictly: each slip is one line with what to write instead."""

from datetime import date

import pytest

from accord.agreements.law.packs import built_in_law
from accord.agreements.law.reading import parse_pack
from accord.agreements.law.rules import Covers, Retention, RuleKind
from accord.agreements.law.updates import parse_update, remarks, sign_update, verify_update
from accord.errors import Code, InputError, Unverified
from accord.keys import PrivateKey

TODAY = date(2026, 3, 1)
PACK = """\
format = "accord-law/1"
id = "us-xx"
number = 1
title = "Example"
applies_to = "CA"
[[rules]]
id = "california-only"
kind = "recipients"
state = "enforced"
binds = "owner"
citation = "Example Act, section 1"
confidence = "high"
from = 2026-01-01
says = "To public agencies of California only."
agency_kinds = ["police", "sheriff"]
requester_states = ["CA"]
[[rules]]
id = "short"
kind = "retention"
state = "enforced"
binds = "owner"
citation = "Example Act, section 2"
confidence = "low"
note = "The figure is from the press."
from = 2026-01-01
until = 2027-01-01
says = "Reads are kept for 3 minutes."
keep = "3 minutes"
"""


def test_a_pack_is_read():
    pack = parse_pack(PACK.encode(), "x.toml")
    first, second = pack.rules
    assert (pack.id, pack.number, pack.applies_to) == ("us-xx", 1, "CA")
    assert first.demand.states == {"CA"}
    assert first.key == "us-xx/california-only"
    assert second.demand == Retention(180_000, "3 minutes")
    assert (second.begins, second.until) == (date(2026, 1, 1), date(2027, 1, 1))


@pytest.mark.parametrize(
    ("words", "ms"),
    [("1 minute", 60_000), ("2 hours", 7_200_000), ("21 days", 21 * 86_400_000),
     ("9 months", 273 * 86_400_000), ("3 years", 1095 * 86_400_000)],
)  # fmt: skip
def test_times_are_in_the_laws_own_words(words, ms):
    pack = parse_pack(PACK.replace("3 minutes", words).encode(), "x.toml")
    assert pack.rules[1].demand.keep_ms == ms


def test_a_retention_covers_what_it_says():
    text = PACK.replace('"3 minutes"', '"3 minutes"\ncovers = ["reads", "photos"]')
    assert parse_pack(text.encode(), "x").rules[1].demand.covers == {Covers.READS, Covers.PHOTOS}
    assert parse_pack(PACK.encode(), "x").rules[1].demand.covers == set(Covers)


SLIPS = [
    ("accord-law/1", "accord-law/2", 'line 1: format is not "accord-law/1"'),
    ('"us-xx"', '"US-XX"', "line 2: id holds 'US-XX'"),
    ("number = 1", "number = 0", "line 3: number"),
    ('applies_to = "CA"', 'applies_to = "California"', "not a state"),
    (
        'title = "Example"',
        'title = "Example"\nauthor = "x"',
        "the file holds a key that does not belong",
    ),
    ('kind = "recipients"', 'kind = "recipient"', 'write "recipients"'),
    ('state = "enforced"', 'state = "attested"', "not a state of a recipients"),
    ('state = "enforced"', 'state = "undecided"', "not a state of a recipients"),
    ('binds = "owner"', 'binds = "nobody"', "not whom a rule can bind"),
    ('citation = "Example Act, section 1"\n', "", "rules.0.citation is missing"),
    ('citation = "Example Act, section 1"', 'citation = ""', "rules.0.citation is empty"),
    ('confidence = "high"', 'confidence = "sure"', "not a confidence"),
    ('confidence = "high"', 'confidence = "medium"', "yet no note says why"),
    ('note = "The figure is from the press."', 'note = "a\\nb"', "rules.1.note"),
    ("from = 2026-01-01\nsays", 'from = "2026-01-01"\nsays', "rules.0.from is not a date"),
    ("until = 2027-01-01", "until = 2025-01-01", "rules.1.until lies before from"),
    ('["police", "sheriff"]', '["police", "polise"]', 'write "police"'),
    ('["police", "sheriff"]', '["police", "police"]', "holds 'police' twice"),
    ('["police", "sheriff"]', "[]", "agency_kinds is empty"),
    ('requester_states = ["CA"]', 'requester_states = ["ca"]', "'ca', not a state"),
    ('agency_kinds = ["police", "sheriff"]\n', "", "rules.0.agency_kinds is missing"),
    ('requester_states = ["CA"]', 'purposes = ["amber-alert"]', "does not belong to a rule of rec"),
    ('"3 minutes"', '"3 fortnights"', "not a time"),
    ('"3 minutes"', '"0 days"', "not a time"),
    ('keep = "3 minutes"', 'keep = "3 minutes"\nreason = "required"', "does not belong"),
    ('keep = "3 minutes"', 'keep = "3 minutes"\ncovers = ["read"]', 'write "reads"'),
    ('keep = "3 minutes"', 'keep = "3 minutes"\ncovers = []', "covers is empty"),
    ('keep = "3 minutes"', 'keep = "3 minutes"\ncovers = ["hits"]', 'add "reads"'),
    ('keep = "3 minutes"', 'keep = "3 minutes"\ncovers = ["reads", "reads"]', "twice"),
    ('id = "short"', 'id = "california-only"', "holds 'california-only' twice"),
    ('"owner"\ncitation = "Example Act, section 2"', '"both"\ncitation = "x"', "binds the owner"),
]


@pytest.mark.parametrize(("old", "new", "told"), SLIPS)
def test_a_slip_is_told_in_one_line(old, new, told):
    assert old in PACK
    with pytest.raises(InputError) as slip:
        parse_pack(PACK.replace(old, new, 1).encode(), "x.toml")
    assert told in str(slip.value)
    assert "\n" not in str(slip.value)


def test_every_kind_of_rule_is_in_use_and_reads():
    kinds = {rule.kind for pack in built_in_law().packs for rule in pack.rules}
    assert kinds == set(RuleKind)


def floor(**changes: str) -> bytes:
    text = PACK.replace('"us-xx"', '"floor"').replace('"CA"\n[[', '"every-state"\n[[')
    text = text[: text.index('[[rules]]\nid = "short"')].replace('binds = "owner"', "{binds}")
    said = {"binds": 'binds = "requester"'} | changes
    return text.format(**said).encode()


def test_the_floor_has_no_exceptions_and_takes_no_update():
    assert parse_pack(floor(), "floor.toml").id == "floor"
    for more in ("until = 2030-01-01", 'bound_kinds = ["federal"]'):
        with pytest.raises(InputError, match="with exceptions"):
            parse_pack(floor(binds=f'binds = "requester"\n{more}'), "floor.toml")
    with pytest.raises(InputError, match="with exceptions"):
        parse_pack(floor().replace(b'"enforced"', b'"recorded"'), "floor.toml")
    with pytest.raises(InputError, match="not the requester of every state"):
        parse_pack(floor(binds='binds = "owner"'), "floor.toml")
    with pytest.raises(InputError, match="takes no update"):
        parse_update(floor(), "floor.toml")


def test_an_update_is_counsels_to_the_byte():
    key, other = PrivateKey.generate(), PrivateKey.generate()
    data = PACK.encode()
    signature = sign_update(data, "x", key)
    assert verify_update(data, signature, [key.public], "city", "x").number == 1
    for bytes_, keys in ((data + b"\n", [key.public]), (data, [other.public]), (data, [])):
        with pytest.raises(Unverified) as refused:
            verify_update(bytes_, signature, keys, "city", "x")
        assert refused.value.code is Code.SIGNATURE_INVALID
    with pytest.raises(InputError, match="not a signature file"):
        verify_update(data, b"{}", [key.public], "city", "x")
    with pytest.raises(InputError, match="not a time"):
        sign_update(PACK.replace("3 minutes", "soon").encode(), "x", key)


def test_rules_that_change_nothing_are_remarked():
    def told(text: str) -> list[tuple[str, str]]:
        pack = parse_update(text.encode(), "x")
        return [(rule.id, why) for rule, why in remarks(pack, built_in_law(), TODAY)]

    assert told(PACK) == []
    maine = PACK.replace('applies_to = "CA"', 'applies_to = "ME"')
    assert told(maine) == []
    assert told(maine.replace("3 minutes", "21 days")) == [
        ("short", "us-me/retention is as strict")
    ]
    assert told(maine.replace("3 minutes", "20 days")) == []
    # The highway patrol's 60 days are not every Californian agency's.
    assert told(PACK.replace("3 minutes", "90 days")) == []
    over = PACK.replace("until = 2027-01-01", "until = 2026-02-28")
    assert told(over) == [("short", "it is over: its last day was 2026-02-28")]
    later = PACK.replace("from = 2026-01-01\nsays", "from = 2026-03-02\nsays")
    assert told(later)[0][1] == "it is not in force yet: its first day is 2026-03-02"
    assert told(PACK.replace('"enforced"', '"recorded"', 1))[0][0] == "california-only"


def test_a_moment_is_no_day():
    with pytest.raises(InputError, match=r"rules\.0\.from"):
        parse_pack(PACK.replace("from = 2026-01-01", "from = 2026-01-01T10:00:00Z").encode(), "x")
