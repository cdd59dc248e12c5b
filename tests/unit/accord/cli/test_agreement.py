"""``accord agreement``: check, sign, status, and the one line that each slip gets."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from accord.agreements.policy_template import template_policy
from accord.agreements.templates import MOA_ATTESTATIONS, MOA_QUESTIONS
from accord.cli.agreement import app
from accord.errors import InputError
from tests.unit.accord.cli.kit import fails, run, sign, status


def test_check_says_what_the_text_allows(place):
    out = run("check", place / "federation/agreements/city-harbor/agreement.toml")
    for words in ("Sharing [b]", "City [red]PD", "stolen-vehicle", "500 rows", "VIII", "sha256:"):
        assert words in out


def new(place, out, *more):
    roots = [(place / name).read_text() for name in ("root", "harbor-root")]
    words = ["new", "--federation", place / "federation", "--id", "drafted", "--title", "A draft"]
    return (*words, "--root", roots[0], "--root", roots[1], "--out", out, *more)


ANSWERS = (
    "term.ends=anniversary", "term.extension=once", "termination.counted_from=receipt",
    "non_extension.counted_from=sending", "disputes.holidays=none",
    "purposes.criminal_immigration=off", "eligibility.case_number=required",
    "eligibility.reason=optional", "eligibility.approval=none",
    "eligibility.employment=employee, reserve", "onward.sharing=none", "fields.vehicle=none",
    "retention.received_days=60", "retention.counted_from=capture", "hot_lists.stale=withheld",
    "eligibility.training_within_days=365", "eligibility.training_course=any",
    "limits.look_back_days=180", "limits.row_limit=200", "fields.time=minute", "fields.place=50 m",
    "fields.camera=pseudonym", "fields.photo=none", "disputes.interim_days=5",
    "heads.max_age_hours=24",
    "survival.queries_in_flight=refused", "survival.received=deleted-at-end",
    "survival.alerts=dropped",
)  # fmt: skip


def test_an_answer_goes_in_its_own_place_and_no_other(place):
    file = place / "drafts" / "agreement.toml"
    run(*new(place, file))
    before = file.read_text()
    assert 'or "own-policy"' in fails("answer", file, "retention.received_days=many")
    # An answer that leaves another question without sense says how to answer that too.
    own = "retention.received_days=own-policy"
    assert "answer retention.counted_from=receipt with it" in fails("answer", file, own)
    assert file.read_text() == before
    both = file.with_name("both.toml")
    both.write_text(before)
    said = run("answer", both, own, "retention.counted_from=receipt")
    assert "UNDECIDED still" in said
    assert "retention" not in said.partition("UNDECIDED still")[2]
    assert "is given although no days" in fails(
        "answer", file, own, "retention.counted_from=capture"
    )
    assert "UNDECIDED still" in run("answer", file, "retention.received_days=60")
    assert file.read_text() == before.replace('received_days = "undecided"', "received_days = 60")
    for bad, words in (
        ("term.ends=soon", "use one of anniversary, day-before"),
        ("eligibility.employment=friend", "is not a way to belong"),
        ("retention.received_days=30", "not a question that this text leaves open"),
        ("scope.direction=both", "not a question that this text leaves open"),
        ("term.end=anniversary", "not a question that this text leaves open"),
        ("term.ends", "is no key with its answer"),
    ):
        after = file.read_bytes()
        assert words in fails("answer", file, bad)
        assert file.read_bytes() == after


def test_from_a_new_draft_to_an_agreement_in_force(place):
    """Nothing is signed before counsel has answered; the answers are four words."""
    file = place / "federation/agreements/drafted/agreement.toml"
    out = run(*new(place, file))
    assert out.count("UNDECIDED, so nobody can sign") == len(MOA_QUESTIONS) == 28
    key = ("--key", place / "city.pem", "--signer", "Jane Roe", "--capacity", "General Counsel")
    assert "is undecided" in fails("sign", file, "--party", "city", *key)
    assert "UNDECIDED still" in run("answer", file, *ANSWERS[:3])
    assert "UNDECIDED" not in run("answer", file, *ANSWERS[3:])
    assert "UNDECIDED" not in run("check", file)
    for party in ("city", "harbor"):
        run("sign", file, "--party", party, "--key", place / f"{party}.pem", *key[2:])
    federation = ("--federation", place / "federation")
    root = ("--root", (place / "root").read_text())
    assert "In force now: yes" in run("status", file.parent, *federation, *root)


def test_a_new_draft_needs_agencies_that_are_who_they_say(place):
    out = place / "draft.toml"
    words = [str(w) for w in new(place, out)]
    pin = (place / "harbor-root").read_text()
    wrong = [word.replace(pin, "harbor=sha256:" + "0" * 64) for word in words]
    assert "harbor" in fails(*wrong)
    assert not out.exists()
    at = words.index(pin)
    assert "one party only" in fails(*words[: at - 1], *words[at + 1 :])
    run(*words)
    before = out.read_bytes()
    assert "never overwritten" in fails(*words)
    assert out.read_bytes() == before


def test_the_texts_of_the_sections_are_kept_and_compared(place):
    texts = place / "texts"
    texts.mkdir()
    (texts / "II.A.txt").write_text("The parties may share.")
    file = place / "drafts" / "agreement.toml"
    run(*new(place, file, "--texts", texts))
    assert "is held here, as named: II.A." in run("check", file)
    held = file.parent / "sections" / "II.A.txt"
    held.write_text("The parties must share.")
    assert "holds another text of 'II.A' than the manifest names" in fails("check", file)
    held.rename(held.with_suffix(".doc"))
    assert "is not named <section>.txt" in fails("check", file)
    held.with_suffix(".doc").unlink()
    assert "held here" not in run("check", file)
    (texts / "IX.txt").write_text("x")
    assert "'IX', which no rule cites" in fails(*new(place, place / "other.toml", "--texts", texts))


def test_explain_and_diff_say_it_in_words(place):
    file = place / "federation/agreements/city-harbor/agreement.toml"
    out = run("explain", file)
    assert "City [red]PD" in out
    assert "Limits (II.B, enforced)\nSearches reach back 365 days at most" in out
    new = place / "new.toml"
    new.write_text(file.read_text().replace("look_back_days = 365", "look_back_days = 30"))
    out = run("diff", file, new)
    assert "loses" in out
    assert "searches reach back 30 days, 365 before" in out
    assert run("diff", file, file) == "No rule differs.\n"
    new.write_text(file.read_text().replace('extension = "none"', 'extension = "undecided"'))
    assert "UNDECIDED: term.extension (V)" in run("explain", new)
    assert "whether the agreement is alive after its first term" in run("explain", new)
    assert "Counsel of every party must answer: " in run("explain", new)


def test_check_gives_one_line_for_a_slip(place):
    file = place / "federation/agreements/city-harbor/agreement.toml"
    file.write_text(file.read_text().replace("stolen-vehicle", "stolen-vehicel"))
    said = fails("check", file)
    assert said.startswith(f"{file}, line ")
    assert 'write "stolen-vehicle"' in said
    assert "is not there" in fails("check", place / "nothing.toml")


def test_from_unsigned_to_in_force(place):
    assert "missing" in run(*status(place)[:2])
    run(*sign(place, "city"))
    out = run(*status(place))
    assert "In force now: no, not executed; missing: harbor" in out
    run(*sign(place, "harbor"))
    out = run(*status(place))
    assert "In force now: yes" in out
    assert "Jane Roe" in out
    assert "Last day:" in out


def reword(place, old, new):
    file = place / "federation/agreements/city-harbor/agreement.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return file


def test_what_is_undecided_is_told_and_not_signed(place):
    file = reword(place, 'extension = "none"', 'extension = "undecided"')
    out = run("check", file)
    assert "UNDECIDED, so nobody can sign: term.extension (V): Is the term extended" in out
    assert "term.extension: is undecided, so nobody can sign" in fails(*sign(place, "city"))
    assert not (file.parent / "counterparts/city.json").exists()


def test_status_tells_the_period_and_what_comes_after(place):
    reword(place, 'extension = "none"', 'extension = "repeating"\nextension_years = 1')
    out = run("check", place / "federation/agreements/city-harbor/agreement.toml")
    assert "extended" in out
    assert "again and again" in run(
        "explain", place / "federation/agreements/city-harbor/agreement.toml"
    )
    run(*sign(place, "city"))
    run(*sign(place, "harbor"))
    out = run(*status(place))
    assert "In force now: yes" in out
    assert "Last day:" not in out
    assert "This period ends with 20" in out
    assert "extended by one year again and again." in out


def test_status_of_a_child_tells_how_its_parent_stands(place):
    above = place / "federation/agreements/city-harbor"
    text = (above / "agreement.toml").read_text()
    child = place / "federation/agreements/child"
    child.mkdir()
    digest = hashlib.sha256((above / "agreement.toml").read_bytes()).hexdigest()
    named = f'[parent]\nsection = "VIII"\nid = "city-harbor"\ndigest = "sha256:{digest}"\n'
    text = text.replace('id = "city-harbor"', 'id = "child"', 1)
    (child / "agreement.toml").write_text(text.replace("[scope]", named + "[scope]", 1))
    of_child = [str(a).replace("agreements/city-harbor", "agreements/child") for a in status(place)]
    for party in ("city", "harbor"):
        run(*(str(a).replace("city-harbor", "child") for a in sign(place, party)))
    run(*sign(place, "city"))
    out = " ".join(run(*of_child).split())
    assert "In force now: no, its parent agreement is not in force between them" in out
    assert "(not executed)" in out
    run(*sign(place, "harbor"))
    assert "In force now: yes" in run(*of_child)


def test_status_shows_nothing_unverified_as_signed(place):
    run(*sign(place, "city"))
    out = run(*status(place)[:2])
    assert "Jane Roe" not in out
    assert "there, not verified" in out
    assert "give --federation and --root" in out


def test_status_of_what_does_not_count_says_why_and_fails(place):
    run(*sign(place, "harbor"))
    result = CliRunner().invoke(app, [str(a) for a in status(place)])
    assert isinstance(result.exception, InputError)
    assert "not signed by counsel of an agency that is pinned here" in result.output


def test_a_counterpart_is_never_overwritten(place):
    run(*sign(place, "city"))
    file = place / "federation/agreements/city-harbor/counterparts/city.json"
    before = file.read_bytes()
    assert "never overwritten" in fails(*sign(place, "city"))
    assert file.read_bytes() == before
    run(*sign(place, "city", "--out", place / "again.json"))
    assert (place / "again.json").is_file()


def test_only_a_party_signs_and_only_with_a_key_nobody_else_reads(place):
    (place / "county.pem").write_bytes((place / "city.pem").read_bytes())
    (place / "county.pem").chmod(0o600)
    assert "'county' is not a party" in fails(*sign(place, "county"))
    (place / "city.pem").chmod(0o644)
    assert "city.pem" in fails(*sign(place, "city"))
    assert not (place / "federation/agreements/city-harbor/counterparts").exists()


def test_only_the_partys_own_counsel_signs_for_it(place):
    wrong = ("--key", place / "harbor.pem")
    assert "is no counsel key that the agency.toml of city names" in fails(
        *sign(place, "city", *wrong)
    )
    folder = place / "federation/agreements/city-harbor"
    assert not (folder / "counterparts").exists()
    # Of a draft elsewhere, the folder is named; without one nobody can tell whose key it is.
    draft, out = place / "draft.toml", place / "city.json"
    draft.write_bytes((folder / "agreement.toml").read_bytes())
    elsewhere = ("sign", draft, *sign(place, "city", *wrong, "--out", out)[2:])
    assert "is no counsel key" in fails(*elsewhere, "--federation", place / "federation")
    assert not out.exists()
    right = ("sign", draft, *sign(place, "city", "--out", out)[2:])
    run(*right, "--federation", place / "federation")
    assert out.is_file()
    # An agency.toml that another root signed names nobody's counsel.
    sig = place / "federation/agencies/city/agency.sig"
    sig.write_bytes((place / "federation/agencies/harbor/agency.sig").read_bytes())
    assert "agencies/city" in fails(*sign(place, "city"))
    assert not (folder / "counterparts").exists()


@pytest.mark.parametrize("root", ["city", "city=abc", "city=sha256:ABC", "City=sha256:" + "0" * 64])
def test_a_wrong_root_says_how_to_write_it(place, root):
    assert fails(*status(place)[:-1], root).startswith("--root: ")


def ask(place, *more):
    folder = place / "federation"
    words = ["ask", "--federation", folder, "--root", (place / "root").read_text()]
    words += ["--requester", "city", "--owner", "harbor", "--trained-on", TRAINED]
    words += ["--at", TOMORROW, "--case", "26-1", "--reason", "stolen at pier 4", *more]
    words += [word for clause in MOA_ATTESTATIONS for word in ("--attest", clause)]
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output, result.exception


# The counterparts are signed now: tomorrow the agreement has commenced.
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%MZ")
TRAINED = (datetime.now(UTC) - timedelta(days=100)).date().isoformat()


def test_ask_says_yes_with_every_rule(place):
    run(*sign(place, "city"))
    run(*sign(place, "harbor"))
    status, out, _ = ask(place, "--purpose", "stolen-vehicle")
    assert status == 0, out
    assert out.startswith("Yes.")
    assert "it holds the purpose stolen-vehicle" in out
    assert "The owner's own policy was not looked at" in out
    assert "one search names one plate" in out
    for what in ("lookalike", "circle", "polygon"):
        assert ask(place, "--purpose", "stolen-vehicle", "--what", what)[0] == 0
    status, out, _ = ask(place, "--purpose", "stolen-vehicle", "--json")
    content = json.loads(out)
    assert (status, content["allowed"], content["policy_known"]) == (0, True, False)
    assert {rule["held"] for rule in content["rules"]} == {"yes"}


def test_ask_tells_the_reason_of_the_text_that_got_furthest(place):
    """And not of the newest one, if that was for other purposes to begin with."""
    agreements = place / "federation" / "agreements"
    text = (agreements / "city-harbor" / "agreement.toml").read_bytes()
    only = re.sub(rb"(?s)\nallowed = \[.*?\]", b'\nallowed = ["amber-alert"]', text, count=1)
    only = only.replace(b"city-harbor", b"amber")
    (agreements / "amber").mkdir()
    (agreements / "amber" / "agreement.toml").write_bytes(only)
    for party in ("city", "harbor"):
        run(*sign(place, party))
        words = [agreements / "amber" / "agreement.toml" if n == 1 else word
                 for n, word in enumerate(sign(place, party))]  # fmt: skip
        run(*words)
    told = []
    for purpose, rows in (("stolen-vehicle", 501), ("stolen-vehicle", 5), ("hit-and-run", 5)):
        status, out, _ = ask(place, "--purpose", purpose, "--rows", rows)
        told.append((status, " ".join(out.split())))
    assert told[0][0] == 3
    assert told[0][1].startswith("No: At most 500 rows may be asked for at once")
    assert told[1][0] == 0
    # Under both it is the purpose: then the newest is told.
    assert "it holds amber-alert." in told[2][1]


def test_ask_looks_beyond_the_year_of_an_agencys_file(place):
    """The agreement runs three years; the city's file in this folder some months."""
    for party in ("city", "harbor"):
        run(*sign(place, party))
    at, trained = datetime.now(UTC) + timedelta(days=700), datetime.now(UTC) + timedelta(days=600)
    more = ("--purpose", "stolen-vehicle", "--at", at.strftime("%Y-%m-%dT%H:%MZ"))
    more += ("--trained-on", trained.date().isoformat())
    status, out, _ = ask(place, *more)
    assert status == 0, out
    assert "city's agency.toml runs out before that" in out
    after = (datetime.now(UTC) + timedelta(days=1200)).strftime("%Y-%m-%dT%H:%MZ")
    status, out, _ = ask(place, *more, "--at", after)
    assert status == 3
    assert "The agreement has expired" in out


def test_ask_says_which_key_of_the_policy_refused_and_answers_own_officers(place):
    for party in ("city", "harbor"):
        run(*sign(place, party))
    policy = place / "policy.toml"
    text = template_policy("harbor", "UTC", "ab" * 16).decode()
    partner = '[[partner]]\nagency = "city"\nkinds = ["hot-list"]\n[withhold]'
    policy.write_text(text.replace("[withhold]", partner))
    asked = ("--purpose", "stolen-vehicle", "--policy", policy)
    status, out, _ = ask(place, *asked)
    assert status == 3
    assert "What in the policy says so: kinds" in out
    assert json.loads(ask(place, *asked, "--json")[1])["policy"] == "kinds"
    status, out, _ = ask(place, *asked, "--what", "hotlist")
    assert (status, "policy says so" in out) == (0, False)
    own = ("--requester", "harbor", *asked)
    status, out, _ = ask(place, *own)
    assert status == 0, out
    assert "its own policy holds the purpose stolen-vehicle" in out
    status, out, _ = ask(place, *own, "--purpose", "hit-and-run")
    assert status == 3
    assert "own policy (MOA II.B)" in out
    _, _, error = ask(place, "--owner", "city", "--requester", "harbor", *asked)
    assert "name the one of city" in str(error)


@pytest.mark.parametrize(
    ("more", "words", "section"),
    [
        (("--purpose", "hit-and-run"), "does not hold the purpose hit-and-run", "II.A"),
        (("--purpose", "civil-immigration"), "No agreement can allow this", "7284.6"),
        (("--purpose", "stolen-vehicle", "--case", ""), "A case number is required", "II.A"),
        (("--purpose", "stolen-vehicle", "--standing", "suspended"), "good standing", "II.A"),
        (("--purpose", "stolen-vehicle", "--trained-on", "2020-01-01"), "training must", "II.A"),
        (("--purpose", "stolen-vehicle", "--back", "366"), "reaches back more than 365", "II.B"),
        (("--purpose", "stolen-vehicle", "--rows", "501"), "At most 500 rows", "II.B"),
        (("--purpose", "stolen-vehicle", "--what", "plates"), "several plates at once", "II.B"),
        (("--purpose", "stolen-vehicle", "--on-behalf-of", "x"), "shared onward", "II.A"),
        (("--purpose", "stolen-vehicle", "--owner", "county"), "No agreement allows", ""),
    ],
)
def test_ask_says_no_with_the_rule_and_its_section(place, more, words, section):
    run(*sign(place, "city"))
    run(*sign(place, "harbor"))
    status, out, _ = ask(place, *more)
    assert status == 3
    assert out.startswith("No: ")
    assert words in " ".join(out.split())
    assert section in out
    content = json.loads(ask(place, *more, "--json")[1])
    assert [rule["held"] for rule in content["rules"]].count("no") == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--purpose", "stolen-vehicle", "--what", "everything"), "use one of plate, partial"),
        (("--purpose", "stolen-vehicle", "--at", "tomorrow"), "is not a time with a zone"),
        (("--purpose", "stolen-vehicle", "--at", "9999-12-31T23:59:59-12:00"), "2200"),
        (("--purpose", "stolen-vehicle", "--at", "0001-01-01T00:00:00+12:00"), "between 1970"),
        (("--purpose", "stolen-vehicle", "--trained-on", "06/01/2026"), "is not a day"),
        (("--purpose", "stolen-vehicle", "--owner", "city"), "add --policy policy.toml"),
        (("--purpose", "stolen-vehicle", "--requester", "nobody"), "no valid agency.toml of nob"),
    ],
)
def test_ask_needs_a_question_that_can_be_asked(place, more, words):
    _, _, error = ask(place, *more)
    assert isinstance(error, InputError)
    assert words in str(error)


def test_amend_writes_a_draft_that_names_the_old_text(place):
    old = place / "federation/agreements/city-harbor/agreement.toml"
    out = place / "federation/agreements/two/agreement.toml"
    said = run("amend", old, "--out", out)
    assert "revision 2" in said
    assert run("diff", old, out).count("replaces the old text") == 1
    fails("amend", old, "--out", out)
    third = place / "three.toml"
    run("amend", out, "--out", third)
    assert third.read_text().count("replaces = ") == 1
    assert "revision = 3" in third.read_text()
    for file, party in ((old, "city"), (old, "harbor"), (out, "city"), (out, "harbor")):
        run("sign", file, *sign(place, party)[2:])
    assert "replaced by a later revision" in run(*status(place))
    assert "Amended by: sha256:" in run(*status(place))
    newest = ("status", out.parent, *status(place)[2:])
    assert "In force now: yes" in run(*newest)
    assert "revision 1, held here" in run(*newest)
