"""``accord-node doctor``: each planted fault is found, with what to do; a healthy node has none."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database as SqliteUtils

from accord import activation
from accord.agreements.effective import Standing
from accord.audit.checkpoint import Checkpoint, sign
from accord.identity import PeerRole, SpiffeId
from accord.keys import ED25519, PrivateKey
from accord.pki import certificate_pem, issue, key_pem, new_authority, new_key
from node.config import WitnessRule
from node.doctor.checks import CHECKS, State
from node.doctor.facts import (
    AgreementFacts,
    BrokerFacts,
    ClockFacts,
    Database,
    Disk,
    FederationFacts,
    Trouble,
    WitnessFacts,
)
from node.doctor.gather import clock_kept
from node.store.base import DeadLetter, HotList, Listed
from node.store.migrations import MIGRATIONS
from node.store.soundness import Soundness, look_at
from node.witness_memory import Evidence, Kind
from node.witnessed import Witnessed
from tests.conftest import HOUR_MS, PLATE, read_at
from tests.unit.node.doctored import (
    DAY_MS,
    FAULT,
    WARNING,
    amiss,
    change,
    facts_of,
    look,
    now,
    of,
    with_store,
)

MINUTE_MS = 60_000


def test_a_healthy_node_has_no_fault_and_every_check_says_something(folder: Path) -> None:
    found = look(folder)
    assert amiss(found) == []
    assert [one.check for one in found if one.remedy] == []
    assert {one.check for one in found} == CHECKS.keys()
    said = "\n".join(one.found for one in found)
    for words in ("1 in force", "reads.db: ", "audit.db: ", "replay.db: ", "the node serves",
                  "89 days left", "nothing is due", "no record waits"):  # fmt: skip
        assert words in said


def test_before_its_first_start_it_is_healthy_too(folder: Path) -> None:
    shutil.rmtree(folder / "data")
    found = look(folder)
    assert [(one.state, one.check) for one in amiss(found)] == [(State.WARNING, "agreements")]
    assert "not activated at the node" in amiss(found)[0].found
    assert not (folder / "data").exists()


Plant = Callable[[Path], None]


def half_filled(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "data" / "reads.db")) as sql, sql:
        sql.execute("INSERT INTO moves VALUES ('to', 'x', 0)")


def activated_and_gone(folder: Path) -> None:
    (gone,) = (folder / "federation" / "agreements").glob("city-harbor")
    gone.rename(folder / "elsewhere")


def key_open(folder: Path) -> None:
    (folder / "keys" / "node.pem").chmod(0o644)


def key_gone(folder: Path) -> None:
    (folder / "keys" / "names.secret").unlink()


def key_not_published(folder: Path) -> None:
    (folder / "keys" / "node.pem").unlink()
    PrivateKey.generate().save(folder / "keys" / "node.pem")


def log_key_not_published(folder: Path) -> None:
    (folder / "keys" / "audit.pem").unlink()
    PrivateKey.generate(ED25519).save(folder / "keys" / "audit.pem")


def data_open(folder: Path) -> None:
    (folder / "data").chmod(0o755)


def reads_open(folder: Path) -> None:
    (folder / "data" / "reads").mkdir()
    (folder / "data" / "reads").chmod(0o750)


def policy_anybodys(folder: Path) -> None:
    (folder / "policy.toml").chmod(0o666)


def certificate_of_another(folder: Path) -> None:
    shutil.copy(folder / "tls" / "client-desk-o-1.crt", folder / "tls" / "node-main.crt")


def certificate_of_another_ca(folder: Path) -> None:
    key = new_key()
    leaf = issue(
        new_authority("city", now()),
        SpiffeId("city", PeerRole.NODE, "main"),
        key.public_key(),
        now(),
    )
    (folder / "tls" / "node-main.crt").write_bytes(certificate_pem(leaf))
    (folder / "tls" / "node-main.pem").write_bytes(key_pem(key))


def certificate_of_another_node(folder: Path) -> None:
    change(folder / "node.toml", 'name = "main"', 'name = "second"')


def database_of_an_earlier_version(folder: Path) -> None:
    for path in (folder / "data").glob("reads.db*"):
        path.unlink()
    sql = sqlite3.connect(folder / "data" / "reads.db")
    MIGRATIONS.apply(SqliteUtils(sql), stop_before="004-hot-lists-by-number")
    sql.close()
    (folder / "data" / "reads.db").chmod(0o600)


def database_no_file(folder: Path) -> None:
    for path in (folder / "data").glob("reads.db*"):
        path.unlink()
    (folder / "data" / "reads.db").mkdir(mode=0o700)


def database_damaged(folder: Path) -> None:
    with (folder / "data" / "reads.db").open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4096)
        file.write(os.urandom(size - 4096))


def database_of_a_later_version(folder: Path) -> None:
    with sqlite3.connect(folder / "data" / "reads.db") as sql:
        sql.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('node-reads', '999-later', '')"
        )
    sql.close()


def audit_gone(folder: Path) -> None:
    for path in (folder / "data").glob("audit.db*"):
        path.unlink()


def audit_altered(folder: Path) -> None:
    with sqlite3.connect(folder / "data" / "audit.db") as sql:
        sql.execute("DELETE FROM entries WHERE idx = 0")
    sql.close()


def read_overdue(folder: Path) -> None:
    with_store(folder, lambda store: store.add([read_at(now() - 732 * DAY_MS)]))


def hot_list(folder: Path, age_days: int) -> None:
    published = now() - age_days * DAY_MS
    held = HotList("stolen", "State bureau", published, 86_400, 7 * 86_400, published, 1)
    entries = [Listed(PLATE, "CA", "stolen-vehicle")]
    with_store(folder, lambda store: store.hot_lists.replace(held, entries))


def list_stale(folder: Path) -> None:
    hot_list(folder, 2)


def list_refused(folder: Path) -> None:
    hot_list(folder, 8)


def letter(folder: Path) -> None:
    dead = DeadLetter("gate", "axis", "has no time", now(), PLATE.encode())
    with_store(folder, lambda store: store.add_dead([dead]))


def counterpart_spoilt(folder: Path) -> None:
    change(folder / "federation/agreements/city-harbor/counterparts/harbor.json", '"sig"', '"sag"')


def not_activated(folder: Path) -> None:
    (folder / "data" / activation.FILE_NAME).unlink()


def policy_spoilt(folder: Path) -> None:
    change(folder / "policy.toml", "reads_days", "read_days")


def policy_gone(folder: Path) -> None:
    (folder / "policy.toml").unlink()


def roster_gone(folder: Path) -> None:
    (folder / "roster.json").unlink()


def metrics_nowhere(folder: Path) -> None:
    change(folder / "node.toml", 'data = "data"', 'data = "data"\nmetrics = "policy.toml/m.prom"')


def source_gone(folder: Path) -> None:
    with (folder / "node.toml").open("a") as file:
        file.write('[[sources]]\nname = "pier"\nway = "folder"\nfolder = "in"\n')


@pytest.mark.parametrize(
    ("plant", "check", "state", "found", "remedy"),
    [
        (key_open, "keys", FAULT, "other users can read this secret", "chmod 600 "),
        (key_not_published, "keys", FAULT, "that agency.toml publishes", "accord certs publish"),
        (log_key_not_published, "keys", FAULT, "is no audit key that", "accord certs publish"),
        (key_gone, "keys", FAULT, "names.secret: is not there", "put it back"),
        (data_open, "keys", FAULT, "(0755)", "chmod 700 "),
        (reads_open, "keys", FAULT, "(0750)", "chmod 700 "),
        (policy_anybodys, "keys", FAULT, "policy.toml: other users", "chmod 664 "),
        (certificate_of_another, "certificates", FAULT, "is not the key of", "the pair"),
        (certificate_of_another_ca, "certificates", FAULT, "its own agency's CA", "certs issue"),
        (
            certificate_of_another_node,
            "certificates",
            FAULT,
            "city/node/main and not",
            "certs issue",
        ),
        (
            database_of_an_earlier_version,
            "database",
            WARNING,
            "are to be taken",
            "restart the node",
        ),
        (database_no_file, "database", FAULT, "reads.db: the database says", "its owner"),
        (database_damaged, "database", FAULT, "reads.db: ", "restore"),
        (half_filled, "database", FAULT, "store copy fills it", "store copy again"),
        (activated_and_gone, "agreements", WARNING, "city-harbor, revision 1 is activated", "put"),
        (database_of_a_later_version, "database", FAULT, "later version", "install that"),
        (audit_gone, "database", FAULT, "audit.db: is gone", "restore"),
        (audit_altered, "database", FAULT, "entry 0", "keep the file as evidence"),
        (read_overdue, "retention", FAULT, "still here: 1 reads", "accord-node purge"),
        (list_stale, "hot lists", WARNING, "2 days, 0:00:0", "hotlist import"),
        (list_refused, "hot lists", FAULT, "past its hard limit", "hotlist import"),
        (letter, "sources", WARNING, "1 records of gate", "ingest retry"),
        (counterpart_spoilt, "agreements", WARNING, "left out: ", "get the file again"),
        (not_activated, "agreements", WARNING, "not activated", "agreement activate city-harbor"),
        (policy_spoilt, "policy and roster", FAULT, "policy.toml, line 19", "write reads_days"),
        (policy_gone, "policy and roster", FAULT, "policy.toml: is not there", "accord policy new"),
        (roster_gone, "policy and roster", FAULT, "roster.json", "officer publish"),
        (metrics_nowhere, "figures", FAULT, "is a file", "metrics in node.toml"),
        (source_gone, "sources", FAULT, "is no folder", "mkdir "),
    ],
)
def test_a_planted_fault_is_found_and_told(
    folder: Path, plant: Plant, check: str, state: State, found: str, remedy: str
) -> None:
    plant(folder)
    told = [one for one in amiss(look(folder)) if one.check == check]
    match = [one for one in told if found in one.found and one.state is state]
    assert match, told
    assert remedy in match[0].remedy


@pytest.mark.parametrize(
    ("days", "check", "state", "found", "remedy"),
    [
        (61, "certificates", WARNING, "28 days left", "accord certs issue"),
        (91, "certificates", FAULT, "the node's (", "accord certs issue"),
        (-3, "clock", FAULT, "3 days, 0:00:0", "time service"),
        (-3, "clock", FAULT, "nothing is deleted: the clock jumped", "confirm-clock --by"),
        (3, "clock", FAULT, "nothing is deleted: the clock jumped", "confirm-clock --by"),
        (1, "policy and roster", FAULT, "signed 1 day", "accord officer publish"),
        (1, "figures", WARNING, "no node serves", "start the node"),
        (1075, "agreements", WARNING, "the last day in force", "counsel"),
        (340, "agreements", WARNING, "agency.toml 1: a new one", "accord certs publish"),
    ],
)
def test_what_comes_with_time_is_found(
    folder: Path, days: int, check: str, state: State, found: str, remedy: str
) -> None:
    told = [one for one in amiss(look(folder, days * DAY_MS)) if one.check == check]
    match = [one for one in told if found in one.found and one.state is state]
    assert match, told
    assert any(remedy in one.remedy for one in match)


def test_what_a_test_can_not_plant_is_judged_by_its_facts(folder: Path) -> None:
    gib = 1 << 30
    for free, databases, state in (
        (gib, 0, State.OK),
        (gib, 2 * gib, WARNING),
        (gib // 8, 0, FAULT),
    ):
        disk = Disk(folder, free, 10 * gib, databases)
        [one] = of(facts_of(folder, disk=disk), "disk")
        assert (one.state, bool(one.remedy)) == (state, state is not State.OK)
    broken = BrokerFacts("spiffe://exchange/broker/main", "x:1", Trouble("Can't reach it.", "look"))
    [one] = of(facts_of(folder, brokers=[broken]), "broker")
    assert (one.state, one.remedy) == (FAULT, "look")
    for kept, state in ((True, State.OK), (None, State.OK), (False, WARNING)):
        [one] = of(facts_of(folder, clock=ClockFacts((), (), kept)), "clock")
        assert one.state is state
    ahead = ClockFacts((), (("harbor", now() + HOUR_MS),), True)
    [one] = of(facts_of(folder, clock=ahead), "clock")
    assert one.state is WARNING
    assert "what the node of harbor signed" in one.found
    path = folder / "data" / "reads.db"
    for soundness, state in (
        (Soundness(0), State.OK),
        (Soundness(None), WARNING),
        (Soundness(0, pending=1), WARNING),
        (Soundness(2), FAULT),
    ):
        [one] = of(facts_of(folder, databases=[Database(path, 1, soundness=soundness)]), "database")
        assert (one.state, bool(one.remedy)) == (state, state is not State.OK)
    for needed, state, words in (
        (False, State.OK, "the node makes them"),
        (True, FAULT, "though the node has used it"),
    ):
        new = Database(path, 1, needed, served=True, soundness=Soundness(0, 9, empty=True))
        [one] = of(facts_of(folder, databases=[new]), "database")
        assert (one.state, words in one.found, bool(one.remedy)) == (state, True, needed)
    federation = FederationFacts("city", False, (), (), ())
    [one] = of(facts_of(folder, federation=federation), "agreements")
    assert one.state is FAULT


def test_every_check_says_something_also_without_our_agency_toml(folder: Path) -> None:
    (folder / "federation" / "agencies" / "city" / "agency.sig").write_bytes(b"")
    found = look(folder)
    assert {one.check for one in found} == CHECKS.keys()
    assert any("no valid agency.toml of city" in one.found for one in amiss(found))


def test_without_a_fresh_head_nothing_is_shared(folder: Path) -> None:
    for party, state in (("harbor", FAULT), ("city", WARNING)):
        one = AgreementFacts("city-harbor", "city-harbor", Standing.IN_FORCE, (party,))
        federation = FederationFacts("city", True, (), (one,), ())
        found, *_ = of(facts_of(folder, federation=federation), "agreements")
        assert (found.state, party in found.found, bool(found.remedy)) == (state, True, True)


def witnessed(agencies=("harbor",), size=9, by=9, since_ms=None, evidence=(), needed=1):
    state = Witnessed(agencies, needed, size, dict.fromkeys(agencies, by), since_ms, MINUTE_MS,
                      evidence)  # fmt: skip
    late = state.late(now())
    return WitnessFacts(WitnessRule(None, needed, MINUTE_MS, 60), state, late)


def test_what_the_witnesses_have_not_cosigned_is_told(folder: Path) -> None:
    [one] = of(facts_of(folder, witnessed=witnessed()), "witnesses")
    assert (one.state, one.found) == (State.OK, "9 of 9 entries are cosigned by 1 of 1")
    soon = witnessed(by=4, since_ms=now() - MINUTE_MS // 2)
    [one] = of(facts_of(folder, witnessed=soon), "witnesses")
    assert (one.state, "4 of 9" in one.found) == (State.OK, True)
    late = witnessed(by=4, since_ms=now() - 2 * MINUTE_MS)
    [one] = of(facts_of(folder, witnessed=late), "witnesses")
    assert (one.state, "(harbor 4)" in one.found, bool(one.remedy)) == (WARNING, True, True)
    few = witnessed(needed=2, since_ms=now() - 2 * MINUTE_MS)
    [one] = of(facts_of(folder, witnessed=few), "witnesses")
    assert (one.state, "0 of 9 entries are cosigned by 2 of 1" in one.found) == (WARNING, True)
    [one] = of(facts_of(folder, witnessed=witnessed(agencies=())), "witnesses")
    assert (one.state, "no agreement binds us" in one.found) == (State.OK, True)


def test_evidence_that_nobody_has_resolved_is_told(folder: Path) -> None:
    note = sign(Checkpoint("city/node", 5, bytes(32)), PrivateKey.generate(ED25519))
    for kind, state in ((Kind.OWN_SHORTER, FAULT), (Kind.SPLIT_VIEW, WARNING)):
        found = Evidence(kind, "city/node", "harbor", now(), note, note)
        [one] = of(facts_of(folder, witnessed=witnessed(evidence=(found,))), "witnesses")
        assert (one.state, found.id in one.found, bool(one.remedy)) == (state, True, True)
        done = replace(found, resolved_ms=now())
        [one] = of(facts_of(folder, witnessed=witnessed(evidence=(done,))), "witnesses")
        assert one.state is State.OK


def test_what_is_due_since_less_than_a_day_goes_with_the_next_purge(folder: Path) -> None:
    captured = now() - 730 * DAY_MS - HOUR_MS
    with_store(folder, lambda store: store.add([read_at(captured)]))
    [one] = of(facts_of(folder), "retention")
    assert (one.state, "1 reads" in one.found) == (State.OK, True)


def test_a_look_that_has_no_time_says_so_and_one_on_the_kernel_answers(folder: Path) -> None:
    path = folder / "data" / "reads.db"
    with_store(folder, lambda store: store.add([read_at(now()) for _ in range(3_000)]))
    assert look_at(path, 0.0, MIGRATIONS) == Soundness(None)
    assert look_at(path, 30.0, MIGRATIONS) == Soundness(0)
    assert clock_kept() in (True, False, None)
