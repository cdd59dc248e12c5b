"""The checks, each a pure function over what was gathered. Order is that of the table.

A fault is what keeps the node from starting, from answering or from deleting what is
due, or opens what is secret; a warning is what will become one, or needs a person.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from accord.agreements.calendar import EventKind
from accord.agreements.effective import Standing
from accord.agreements.heads import SKEW_MS
from accord.agreements.retention import DAY_MS
from accord.clock import iso
from accord.roster import MAX_STATUS_AGE_MS
from node.doctor.facts import AgreementFacts, Certificate, Database, Facts, Trouble
from node.leap import REMEDY
from node.store.purged import Due
from node.witness_memory import HALTING

WARN_DAYS = 30
FIGURES_OLD_MS = 5 * 60_000
MIB = 1 << 20
LEAST_FREE = 256 * MIB


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table: what is, and what to do ("" where nothing is)."""

    check: str
    state: State
    found: str
    remedy: str = ""


Found = Iterator[tuple[State, str, str]]


def diagnose(facts: Facts) -> tuple[Finding, ...]:
    """Return what every check says, at least one line each."""
    return tuple(
        Finding(name, state, text, remedy)
        for name, check in CHECKS.items()
        for state, text, remedy in check(facts)
    )


def _met(trouble: Trouble, remedy: str) -> tuple[State, str, str]:
    return State.FAULT, trouble.problem, trouble.remedy or remedy


def keys(facts: Facts) -> Found:
    """Keys and secrets can be used, and nobody else can read or change what they must not."""
    sound = True
    for one in facts.secrets:
        if one.trouble is not None:
            sound = False
            yield _met(one.trouble, f"put the right file back: {one.name} of node.toml")
    for file in facts.open_files:
        sound = False
        text = f"{file.path}: other users have rights that they must not have ({file.mode:04o})"
        yield State.FAULT, text, f"chmod {file.wanted:o} {file.path}"
    if sound:
        yield State.OK, f"{len(facts.secrets)} keys and secrets, and only we can read them", ""


def certificates(facts: Facts) -> Found:
    """Certificates are ours, and last for 30 days."""
    for one in facts.certificates:
        yield _certificate(one, facts.now_ms)


def _certificate(one: Certificate, now_ms: int) -> tuple[State, str, str]:
    if one.trouble is not None:
        return _met(one.trouble, one.renew)
    if one.until_ms is None:
        return State.FAULT, f"{one.what}: has no end", one.renew
    left_ms = one.until_ms - now_ms
    if left_ms <= 0:
        return State.FAULT, f"{one.what}: ended {iso(one.until_ms)}", one.renew
    text = f"{one.what}: {left_ms // DAY_MS} days left"
    if left_ms <= WARN_DAYS * DAY_MS:
        return State.WARNING, text, one.renew
    return State.OK, text, ""


def clock(facts: Facts) -> Found:
    """The clock is behind nothing that it wrote, did not jump, and a time service keeps it."""
    if facts.clock.stop is not None:
        yield State.FAULT, f"nothing is deleted: {facts.clock.stop}", REMEDY
    mend = "have a time service keep the clock: systemd-timesyncd or chrony"
    name, latest_ms = max(facts.clock.latest, key=lambda one: one[1], default=("", 0))
    behind_ms = latest_ms - facts.now_ms
    if behind_ms > SKEW_MS:
        yield (
            State.FAULT,
            f"{_span(behind_ms)} behind the time of {name}",
            f"{mend}; restart the node",
        )
        return
    party, their_ms = max(facts.clock.partners, key=lambda one: one[1], default=("", 0))
    if their_ms - facts.now_ms > SKEW_MS:
        text = f"{_span(their_ms - facts.now_ms)} behind what the node of {party} signed"
        yield State.WARNING, text, f"look at the time service here; if ours is right, tell {party}"
    elif facts.clock.kept is False:
        yield State.WARNING, "the kernel says that no time service keeps the clock", mend
    else:
        said = "" if facts.clock.kept else "; whether a time service keeps it can't be told here"
        yield State.OK, f"{iso(facts.now_ms)}, behind nothing that was written{said}", ""


def database(facts: Facts) -> Found:
    """Each database is there, sound, and of this version."""
    for one in facts.databases:
        yield _database(one)


def _database(one: Database) -> tuple[State, str, str]:
    name = one.path.name
    what, well = (one.path, "sound") if not one.served else ("the database", "its server answers")
    restore = f"stop the node and restore {what} from the last backup"
    if one.trouble is not None:
        return _met(one.trouble, restore)
    if one.size is None:
        if one.needed:
            return State.FAULT, f"{one.path}: is gone", restore
        return State.OK, f"{name}: none yet; the node makes it", ""
    sound, size = one.soundness, f"{one.size / MIB:,.1f} MiB"
    if sound is None or sound.defects is None:
        long = f'when there is time: sqlite3 -readonly {one.path} "PRAGMA quick_check"'
        return State.WARNING, f"{name}: {size}, not looked at to its end", long
    if sound.defects:
        return State.FAULT, f"{one.path}: is damaged in {sound.defects} places", restore
    if sound.unknown:
        text = f"{name}: a later version of Accord has changed its tables"
        return State.FAULT, text, "install that version again"
    if sound.lacking:
        text = f"{name}: tables are gone: {', '.join(sound.lacking)}"
        return State.FAULT, text, "stop the node and put back its last dump"
    if sound.filling:
        text = f"{name}: accord-node store copy fills it, or was stopped half-way: no node opens it"
        return State.FAULT, text, "with node.toml as it was run accord-node store copy again"
    if sound.empty and not one.needed:
        return State.OK, f"{name}: {well}, and has no tables yet; the node makes them", ""
    if sound.empty:
        text = f"{name}: {well}, and has no tables, though the node has used it"
        return State.FAULT, text, "see which database the URL names, or put back its last dump"
    if sound.pending:
        text = f"{name}: {size}, {well}; {sound.pending} steps of its tables are to be taken"
        return State.WARNING, text, "back it up, then restart the node, which takes them"
    return State.OK, f"{name}: {size}, {well}", ""


def disk(facts: Facts) -> Found:
    """The disk of the data folder has room."""
    one = facts.disk
    if one is None:
        yield State.OK, "no data folder yet; the node makes it", ""
        return
    text = f"{one.free / MIB:,.0f} of {one.total / MIB:,.0f} MiB free at {one.folder}"
    room = "make room, or move the data folder to a larger disk"
    if one.free < LEAST_FREE:
        yield State.FAULT, text, f"{room}: a full disk stops every answer"
    elif one.free < max(one.databases, one.total // 20):
        text += f"; the databases hold {one.databases / MIB:,.0f} MiB"
        yield State.WARNING, text, f"{room}: to write a database anew takes as much again"
    else:
        yield State.OK, text, ""


def own_files(facts: Facts) -> Found:
    """Policy, law and roster can be used; the roster is not older than 15 minutes."""
    for trouble in facts.own_files:
        yield _met(trouble, "mend the file; until then nothing is shared")
    if facts.roster_ms is None:
        if not facts.own_files:
            yield State.OK, "law and roster can't be looked at: see agreements below", ""
        return
    age_ms = facts.now_ms - facts.roster_ms
    text = f"the roster was signed {_span(age_ms)} ago"
    if age_ms > MAX_STATUS_AGE_MS:
        again = "let a timer of the personnel desk call: accord officer publish --every 300"
        yield State.FAULT, f"{text}: our own officers are refused", again
    elif not facts.own_files:
        yield State.OK, f"policy and law can be used; {text}", ""


def retention(facts: Facts) -> Found:
    """What is due by policy and law is gone within a day."""
    one = facts.kept
    if one.due is None or one.late is None:
        yield State.OK, "nothing is kept yet, or it can't be looked at: see above", ""
        return
    law = "; the law is stricter" if one.by_law else ""
    rule = f"reads before {iso(one.since_ms)} are due (policy: {one.reads_days} days{law})"
    if counts := _counted(one.late):
        oldest = one.late.oldest_ms
        since = f"; the oldest read is of {iso(oldest)}" if oldest is not None else ""
        text = f"due since more than a day, and still here: {counts}{since}; {rule}"
        yield State.FAULT, text, "accord-node purge; and see in the node's log why it did not"
    elif counts := _counted(one.due):
        yield State.OK, f"goes with the next purge, every {one.purge_every_s} s: {counts}", ""
    else:
        yield State.OK, f"nothing is due; {rule}", ""


def _counted(due: Due) -> str:
    parts = {"reads": due.reads, "photos": due.photos, "hot-list entries": due.entries,
             "hits": due.hits, "dead letters": due.letters}  # fmt: skip
    return ", ".join(f"{count} {name}" for name, count in parts.items() if count)


def hot_lists(facts: Facts) -> Found:
    """No hot list is stale, none past its hard limit (MOA III)."""
    for one in facts.lists:
        age = f"{one.name} of {one.source}: {_span(facts.now_ms - one.published_ms)} old"
        new = "take in its newest file: accord-node hotlist import"
        if one.refused_at(facts.now_ms):
            yield State.FAULT, f"{age}, past its hard limit: it matches nothing", new
        elif one.stale_at(facts.now_ms):
            yield State.WARNING, f"{age}, stale", new
        else:
            yield State.OK, f"{age}, {one.entries} entries", ""
    if not facts.lists:
        yield State.OK, "none is held", ""


def witnesses(facts: Facts) -> Found:
    """The audit log is the one that others witnessed, and they have cosigned all of it."""
    one = facts.witnessed
    if one.trouble is not None:
        yield _met(one.trouble, "see what is said of the database above")
        return
    if one.state is None:
        yield State.OK, "no audit log yet, or it can't be looked at: see above", ""
        return
    waiting = [found for found in one.state.evidence if not found.resolved_ms]
    for found in waiting:
        text = f"{found.in_words} (evidence {found.id})"
        if found.kind in HALTING:
            again = (
                "put the newest log back; then, or where it is lost: accord-node witness resolve"
            )
            yield State.FAULT, f"nothing is answered: {text}", again
        else:
            yield State.WARNING, text, "tell both agencies' counsel: accord-node witness evidence"
    n, needed = len(one.state.agencies), one.state.needed
    covered = f"{one.state.covered} of {one.state.size} entries are cosigned by {needed} of {n}"
    if one.late:
        lag = ", ".join(f"{who} {size}" for who, size in one.state.by_agency.items())
        text = f"{covered}; since {iso(one.state.since_ms or 0)} the next one waits ({lag})"
        yield State.WARNING, text, "see that a broker is reached, and ask those agencies"
    elif not n and one.rule.agencies is None:
        yield State.OK, "no agreement binds us to an agency that could witness our log", ""
    elif not waiting:
        yield State.OK, covered, ""


_ALIVE = (Standing.IN_FORCE, Standing.NOT_COMMENCED)
_STANDS = {
    Standing.NOT_ACTIVATED: "activate it with the fingerprint that counsel reads out: "
    "accord-node agreement activate {folder} --digest sha256:... --by NAME",
    Standing.SUSPENDED: "ask counsel; what suspends it: accord agreement status",
    Standing.PARENT: "ask counsel; how its parent stands: accord agreement status",
}


def agreements(facts: Facts) -> Found:
    """The federation folder is whole; agreements are activated, fresh, and do not end soon."""
    known = facts.federation
    if not known.known:
        text = f"the federation folder holds no valid agency.toml of {known.agency}"
        yield (
            State.FAULT,
            text,
            f"put agency.toml and agency.sig into agencies/{known.agency} there",
        )
    for problem in known.problems:
        yield State.WARNING, f"left out: {problem}", "mend what it names, or get the file again"
    for gone in known.gone:
        text = f"{gone} is activated, and no folder here holds it: nothing is shared under it"
        again = "put its folder back, as partners have it; where it is over nothing is to be done"
        yield State.WARNING, text, again
    counts = 0
    for one in known.agreements:
        counts += one.standing in _ALIVE
        yield from _agreement(one, known.agency)
    for event, days in known.ahead:
        if days <= WARN_DAYS:
            text = f"{event.agreement}, in {days} days ({event.day}): {event.text}"
            yield State.WARNING, text, _before(event.kind, event.agreement == known.agency)
    if known.known and not known.problems and not known.gone:
        others = len(known.agreements) - counts
        yield State.OK, f"{counts} in force or to come, {others} others; no file is left out", ""


def _agreement(one: AgreementFacts, own: str) -> Found:
    if one.standing in _STANDS:
        remedy = _STANDS[one.standing].format(folder=one.folder)
        yield State.WARNING, f"{one.name}: {one.standing.value}", remedy
    for party in one.stale if one.standing in _ALIVE else ():
        text = f"{one.name}: no fresh head of {party}, so nothing is shared under it"
        if party == own:
            yield State.WARNING, text, "start the node: it signs one by itself"
        else:
            yield State.FAULT, text, f"see that a broker is reached; ask {party} if its node serves"


def _before(kind: EventKind, own: bool) -> str:
    if kind is EventKind.AGENCY_FILE:
        return "accord certs publish" if own else "ask that agency to publish its next one"
    if kind is EventKind.LAST_DAY:
        return "ask counsel whether a new text is to be signed"
    return "tell counsel, or whom it concerns"


def brokers(facts: Facts) -> Found:
    """Each broker answers a health check over mutual TLS."""
    for one in facts.brokers:
        if one.trouble is not None:
            yield _met(one.trouble, "see that it serves and that no firewall is between")
        else:
            yield State.OK, f"{one.id} answers at {one.address}", ""
    if not facts.brokers:
        yield State.OK, "none is named in node.toml: only our own officers ask", ""


def sources(facts: Facts) -> Found:
    """What [[sources]] of node.toml names is there; what was not taken waits for a person."""
    for trouble in facts.sources:
        yield _met(trouble, "mend [[sources]] of node.toml")
    for one in facts.letters:
        since = f"not taken since {iso(one.oldest_ms)}: {one.reason}"
        text = f"{one.letters} records of {one.source} {since}"
        yield State.WARNING, text, "mend the reason, then: accord-node ingest retry"
    if not facts.sources and not facts.letters:
        yield State.OK, "no record waits that was not taken", ""


def figures(facts: Facts) -> Found:
    """The file of figures can be written, and a serving node writes it every half minute."""
    one = facts.figures
    if one.trouble is not None:
        yield State.FAULT, one.trouble.problem, one.trouble.remedy or "see metrics in node.toml"
    elif one.written_ms is None:
        yield State.OK, f"{one.path}: not written yet; the serving node does", ""
    elif facts.now_ms - one.written_ms > FIGURES_OLD_MS:
        text = f"{one.path}: {_span(facts.now_ms - one.written_ms)} old, so no node serves"
        yield State.WARNING, text, "start the node: systemctl start accord-node; see its log"
    else:
        yield State.OK, f"written {_span(facts.now_ms - one.written_ms)} ago: the node serves", ""


def _span(ms: int) -> str:
    """Return a span of time such as ``2 days, 3:00:00``; 0 where it is none."""
    return str(timedelta(seconds=max(0, ms) // 1000))


CHECKS: dict[str, Callable[[Facts], Found]] = {
    "keys": keys,
    "certificates": certificates,
    "clock": clock,
    "database": database,
    "disk": disk,
    "policy and roster": own_files,
    "retention": retention,
    "hot lists": hot_lists,
    "agreements": agreements,
    "broker": brokers,
    "witnesses": witnesses,
    "sources": sources,
    "figures": figures,
}
