"""Rules of one text that can't both be meant; each table alone would be fine."""

import re

import pytest

from accord.agreements.manifest_reading import parse_manifest
from accord.errors import InputError

ROLE = '[[roles]]\nsection = "I.C"\nrole = "{}"\nname = "Example"\nsees = "{}"\nagency = "{}"\n'
OPERATOR = ROLE.format("operator", "answers", "hub")
HOT_LISTS = '[hot_lists]\nsection = "II.A"\nshared = ["list"]\n'
TERRITORY = """[territory]
section = "II.A"
areas = [{ south = 37.0, west = -123.0, north = 38.0, east = -122.0 }]
"""
JOINDER = '[joinder]\nsection = "V"\nadmitted_by = "every-party"\nkinds = ["sheriff"]\n'
REQUESTERS = '[requesters]\nsection = "II.A"\nkinds = ["{}"]\n'
TERMINATION = '[termination]\nsection = "V"\nnotice_days = 30'
NON_EXTENSION = '[non_extension]\nsection = "V"\nnotice_days = 30'
WITHDRAWAL = (
    '[withdrawal]\nsection = "V"\nnotice_days = {}\nchannels = ["any-writing"]\n'
    'counted_from = "sending"\n'
)
RATES = "row_limit = 500\nofficer_per_day = {}\nagency_per_day = 10"
APPROVAL = 'approval = "supervisor"\napproval_beyond_days = {}'
ONE_WAY = 'direction = "one-way"\nowner = "city"\nrequester = "harbor"'


def with_(**options):
    return options


# What makes it wrong, what makes it right: tables to add, words to replace, kinds of data.
CASES = [
    (with_(tables=HOT_LISTS, kinds=["reads"]), with_(tables=HOT_LISTS), "hot_lists",
     "add hot-list there"),
    (with_(tables=TERRITORY, kinds=["hot-list"]), with_(tables=TERRITORY), "territory",
     "add reads to scope.kinds"),
    (with_(tables=JOINDER + REQUESTERS.format("police")),
     with_(tables=JOINDER + REQUESTERS.format("sheriff")), "joinder.kinds", "a kind that may ask"),
    (with_(tables=ROLE.format("vendor", "nothing", "city")),
     with_(tables=ROLE.format("vendor", "nothing", "seller")), ".agency", "party here too"),
    (with_(tables=OPERATOR + ROLE.format("vendor", "nothing", "hub")),
     with_(tables=OPERATOR + ROLE.format("vendor", "nothing", "x")),
     ".agency", "operator here too"),
    (with_(words=("row_limit = 500", RATES.format(11))),
     with_(words=("row_limit = 500", RATES.format(10))), "limits.officer_per_day", "no more"),
    (with_(words=('approval = "none"', APPROVAL.format(365))),
     with_(words=('approval = "none"', APPROVAL.format(364))),
     "eligibility.approval_beyond_days", "never applies"),
    # Three years have 1096 days at most; with an extension by one year 1461, one may be left.
    (with_(words=(TERMINATION, TERMINATION.replace("30", "1096"))),
     with_(words=(TERMINATION, TERMINATION.replace("30", "1095"))),
     "termination.notice_days", "or leave the table out"),
    (with_(words=(TERMINATION, TERMINATION.replace("30", "1461")), extension="once"),
     with_(words=(TERMINATION, TERMINATION.replace("30", "1460")), extension="once"),
     "termination.notice_days", "or leave the table out"),
    (with_(words=(TERMINATION, TERMINATION.replace("30", "1461")), extension="once"),
     with_(words=(TERMINATION, TERMINATION.replace("30", "1461")), extension="repeating"),
     "termination.notice_days", "or leave the table out"),
    (with_(tables=WITHDRAWAL.format(1096)), with_(tables=WITHDRAWAL.format(1095)),
     "withdrawal.notice_days", "or leave the table out"),
    (with_(words=(NON_EXTENSION, NON_EXTENSION.replace("30", "1096")), extension="once"),
     with_(words=(NON_EXTENSION, NON_EXTENSION.replace("30", "1095")), extension="once"),
     "non_extension.notice_days", "or leave the table out"),
    (with_(words=(NON_EXTENSION, NON_EXTENSION.replace("30", "1096")), extension="once"),
     with_(words=(NON_EXTENSION, NON_EXTENSION.replace("30", "1096")), extension="repeating"),
     "non_extension.notice_days", "or leave the table out"),
]  # fmt: skip


def text_of(world, parties=("city", "harbor"), words=("", ""), **options) -> bytes:
    return world.text(*parties, **options).replace(words[0].encode(), words[1].encode(), 1)


@pytest.mark.parametrize(("wrong", "right", "key", "remedy"), CASES, ids=lambda c: str(c)[:40])
def test_what_can_not_both_be_meant_is_an_error(world, wrong, right, key, remedy):
    parse_manifest(text_of(world, **right), "agreement.toml")
    with pytest.raises(InputError) as error:
        parse_manifest(text_of(world, **wrong), "agreement.toml")
    said = str(error.value)
    assert re.match(r"(agreement.toml|the template filled in for city-harbor), line \d+: ", said)
    assert f"{key} " in said
    assert remedy in said


def test_a_notice_is_not_held_against_a_term_that_is_undecided(world):
    long = (TERMINATION, TERMINATION.replace("30", "3650"))
    text = text_of(world, words=long)
    with pytest.raises(InputError, match=r"termination\.notice_days"):
        parse_manifest(text, "x")
    for key, old in (("length_years", b"3"), ("extension", b'"none"')):
        said = key.encode() + b" = "
        assert text.count(said + old) == 1
        found = parse_manifest(text.replace(said + old, said + b'"undecided"'), "x")
        assert [one.key for one in found.undecided] == [f"term.{key}"]


def test_a_third_party_of_a_one_way_agreement_could_do_nothing(world):
    turned = ('direction = "both"', ONE_WAY)
    parse_manifest(text_of(world, words=turned), "x")
    with pytest.raises(InputError, match="county is neither"):
        parse_manifest(text_of(world, ("city", "harbor", "county"), words=turned), "x")


def test_a_party_may_run_the_broker(world):
    text = text_of(world, tables=ROLE.format("operator", "answers", "city"))
    assert parse_manifest(text, "x").provisions.operators[0].agency == "city"
