"""Clauses in their four states, and the sections that rules cite."""

import hashlib

import pytest

from accord.agreements.clause_reading import MECHANISMS, check_texts
from accord.agreements.counterparts import sign_counterpart
from accord.agreements.manifest import State
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.templates import MOA_ATTESTATIONS, MOA_SECTIONS
from accord.errors import Code, InputError
from accord.keys import PrivateKey


def changed(world, old: str, new: str):
    text = world.text().decode()
    assert old in text
    return parse_manifest(text.replace(old, new, 1).encode(), "agreement.toml")


def slip(world, old: str, new: str) -> str:
    with pytest.raises(InputError) as error:
        changed(world, old, new)
    said = str(error.value)
    assert "\n" not in said
    return said


def test_the_memorandum_has_clauses_in_three_states_and_none_open(world):
    manifest = world.manifest()
    states = {clause.id: clause.state for clause in manifest.clauses}
    assert states["query-records"] is State.ENFORCED
    assert states["chief-of-police"] is State.RECORDED
    assert {c.id for c in manifest.attested} == set(MOA_ATTESTATIONS)
    assert State.UNDECIDED not in states.values()
    assert {c.by for c in manifest.clauses if c.by} <= MECHANISMS.keys()
    assert {name for name, _ in manifest.sections} == set(MOA_SECTIONS)
    assert {text for _, text in manifest.sections} == {""}


def test_an_undecided_clause_keeps_everybody_from_signing(world):
    manifest = changed(
        world,
        'state = "recorded"\nsays = "Errors',
        'state = "undecided"\nsays = "Within how many hours? Errors',
    )
    (one,) = manifest.undecided
    assert (one.key, one.section) == ("errors-reported", "III")
    with pytest.raises(InputError, match="errors-reported: is undecided, so nobody can sign"):
        sign_counterpart(manifest, "city", "n", "c", 1_750_000_000_000, PrivateKey.generate())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('state = "recorded"', 'state = "noted"', "clauses.6.state holds 'noted'"),
        ('by = "redaction"\n', "", "is enforced, yet nothing says by what"),
        ('by = "redaction"', 'by = "redacted"', 'write "redaction"'),
        ('"recorded"', '"recorded"\nby = "floor"', "given although it is recorded"),
        ('id = "withholding"', 'id = "Withholding"', "not an id of a clause"),
        ('id = "withholding"', 'id = "no-commerce"', "names 'no-commerce' twice"),
        ('"VII.C" = "not held"\n', "", "lacks the section 'VII.C', which a rule cites"),
        ('"VII.C" = "not held"', '"VII.C" = "held"', 'write "not held", or "sha256:"'),
        ('"VIII" =', '"IX" = "not held"\n"VIII" =', "'IX', which no rule cites"),
        ('says = "Errors', 'says = "Errors\\n', "clauses.14.says"),
        ('says = "Errors', 'why = "x"\nsays = "Errors', "holds a key that does not belong"),
    ],
)  # fmt: skip
def test_slips_get_one_line(world, old, new, words):
    said = slip(world, old, new)
    assert words in said
    assert "agreement.toml, line " in said


def test_a_text_is_the_one_that_was_signed_or_an_error(world):
    text = b"The parties may share.\n"
    manifest = world.manifest(texts={"II.A": text})
    assert dict(manifest.sections)["II.A"] == hashlib.sha256(text).hexdigest()
    assert check_texts(manifest, {"II.A": text}, "sections") == ("II.A",)
    assert check_texts(manifest, {}, "sections") == ()
    with pytest.raises(InputError, match="holds another text"):
        check_texts(manifest, {"II.A": text + b" "}, "sections")
    with pytest.raises(InputError, match="'III', for which the manifest names no hash"):
        check_texts(manifest, {"III": text}, "sections")


@pytest.mark.parametrize(
    ("declared", "missing"),
    [
        (MOA_ATTESTATIONS, ""),
        ((*MOA_ATTESTATIONS, "more"), ""),
        (("verify-before-action",), "no-civil-immigration"),
        (("no-civil-immigration",), "verify-before-action"),
        ((), "no-civil-immigration"),
        (("No-civil-immigration", "verify-before-action"), "no-civil-immigration"),
    ],
)
def test_what_is_attested_is_declared_in_the_query_or_refused(world, declared, missing):
    agreement = world.agreement()
    decision = world.ask(world.query(agreement, attestations=declared), agreement)
    if not missing:
        assert decision.allowed
        return
    assert decision.code is Code.ATTESTATION_REQUIRED
    assert decision.section == {c.id: c.section for c in agreement.manifest.attested}[missing]
    assert decision.reason.startswith(f"The officer must declare {missing}: ")
