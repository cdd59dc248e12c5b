"""The tables of docs/protocol.md against the code."""

import re

import pytest

from accord import envelope as dsse
from accord import model
from accord.codec import (
    MAX_SPAN_MS,
)
from accord.errors import CATALOGUE
from accord.identity import METHODS, PeerRole
from accord.model import PROHIBITED, Employment, Offence, Purpose
from accord.plates import LOOK_ALIKES
from tests.unit.accord.test_protocol_example import DOC


def rows(first: str) -> list[list[str]]:
    """The rows of the table whose header begins with ``first``."""
    table = DOC.partition(f"| {first} |")[2].partition("\n\n")[0]
    return [[c.strip() for c in line.strip("|").split("|")] for line in table.split("\n")[2:]]


def test_the_groups_of_look_alikes_are_told() -> None:
    (told,) = re.findall(r"same\ngroup: (.*?)\. The", DOC)
    assert tuple(re.findall(r"`([A-Z0-9]+)`", told)) == LOOK_ALIKES


def test_every_code_of_the_catalogue_is_told():
    told = {row[0]: (row[1], row[2]) for row in rows("Code")}
    wanted = {f"`{c.value}`": (f"`{spec.status}`", spec.text) for c, spec in CATALOGUE.items()}
    assert told == wanted


def test_who_may_call_what_is_told():
    columns = (PeerRole.NODE, PeerRole.BROKER, PeerRole.CLIENT)
    told = {
        row[0].strip("`"): frozenset(
            role for role, cell in zip(columns, row[1:], strict=True) if cell == "yes"
        )
        for row in rows("Method")
    }
    assert told == METHODS


def test_every_payload_type_is_told():
    told = {row[0].strip("`") for row in rows("Payload type")}
    types = (
        dsse.QUERY,
        dsse.ANSWER,
        dsse.REFUSAL,
        dsse.CREDENTIAL,
        dsse.AGENCY,
        dsse.COUNTERPART,
        dsse.LAW,
        dsse.INSTRUMENT,
        dsse.HEAD,
        dsse.ACKNOWLEDGEMENT,
        dsse.ROSTER,
    )
    assert told == set(types)


def test_every_purpose_is_told():
    allowed, refused = re.findall(
        r"Purposes: (.*?)\. Refused whatever the agreement says:\n(.*?)\.", DOC, re.DOTALL
    )[0]
    assert set(re.findall(r"`([a-z-]+)`", allowed)) == set(Purpose) - set(PROHIBITED)
    assert set(re.findall(r"`([a-z-]+)`", refused)) == set(PROHIBITED)


@pytest.mark.parametrize(("word", "members"), [("offence", Offence), ("employment", Employment)])
def test_every_word_of_a_closed_list_is_told(word, members):
    (text,) = re.findall(rf"^`{word}` is one of (.*?)\.$", DOC, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"`([a-z-]+)`", text)) == set(members)


def test_limits_are_told():
    assert f"at most {MAX_SPAN_MS // 86_400_000} days" in DOC
    assert f"1 to {model.MAX_ROWS}" in DOC
