"""Facts of the databases: reads, audit log, replay guard. Opened for reading only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accord.agencies import Agency
from accord.agreements.law.rules import Law
from accord.agreements.policy import Policy
from accord.agreements.retention import DAY_MS
from accord.audit.extension import is_begun, signed_head
from accord.audit.reader import AuditReader, Filter
from accord.clock import Clock
from accord.errors import AccordError, Code, InputError, Refused
from accord.federation import Federation
from accord.keys import PrivateKey, read_secret_32
from node.config import NodeConfig
from node.doctor.facts import Database, Kept, Trouble, WitnessFacts
from node.leap import FILE_NAME as CLOCK
from node.opened_log import AUDIT, has_log, log_place, origin
from node.replay_file import FILE_NAME as REPLAY
from node.retention import cuts, limits_at
from node.store.base import DeadCount, HotList, ReadStore
from node.store.opening import look_at_soundness, look_at_store, open_memory
from node.store.soundness import Soundness, look_at
from node.witness_file import FILE_NAME
from node.witness_memory import Memory
from node.witnessed import look as look_at_witnesses
from node.witnessed import witnesses


@dataclass(frozen=True, slots=True)
class Stored:
    """What the databases tell; ``audit_ms`` is when the last entry was written."""

    databases: Sequence[Database]
    kept: Kept
    lists: Sequence[HotList]
    letters: Sequence[DeadCount]
    audit_ms: int | None


def look(
    settings: NodeConfig, clock: Clock, policy: Policy | None, law: Law | None,
    own: Agency | None, seconds: float,
) -> Stored:  # fmt: skip
    """Look at the databases, at the pages of each for so many seconds at most."""
    data = settings.data
    # On a server nothing but its tables tells its age: the clock's file is of a node that worked.
    traces = (AUDIT,) if settings.store_url is None else (AUDIT, CLOCK)
    used = any((data / name).exists() for name in traces)
    reads = _reads(settings, seconds, needed=used)
    others: list[Database] = []
    if settings.store_url is None:
        # A node that serves makes all three; reads alone may be taken in before its first start.
        audit = _database(data / AUDIT, seconds, needed=(data / REPLAY).exists())
        audit, audit_ms = _audit(settings, audit)
        others.append(audit)
        others.append(_database(data / REPLAY, seconds, needed=(data / AUDIT).exists()))
    else:
        # Log and claims lie beside the reads.
        reads, audit_ms = _audit(settings, reads)
    kept = Kept(settings.purge_every_s)
    lists: Sequence[HotList] = ()
    letters: Sequence[DeadCount] = ()
    sound = reads.soundness
    # Tables of another version are not asked: what they lack is no damage.
    if sound is not None and not (
        sound.pending or sound.unknown or sound.defects or sound.lacking or sound.filling
    ):
        store = look_at_store(settings, clock)
        try:
            lists, letters = store.hot_lists.lists(), store.dead_counts()
            if policy is not None and law is not None and own is not None:
                kept = _kept(settings, store, policy, law, own, clock.now_ms())
        except Refused as refused:
            reads = replace(reads, soundness=None, trouble=_trouble(reads, refused))
        finally:
            store.close()
    return Stored((reads, *others), kept, lists, letters, audit_ms)


def _reads(settings: NodeConfig, seconds: float, *, needed: bool) -> Database:
    found = Database(settings.reads, None, needed, served=settings.store_url is not None)
    return _looked_at(found, lambda: look_at_soundness(settings, seconds))


def _database(path: Path, seconds: float, *, needed: bool) -> Database:
    def look() -> tuple[int, Soundness]:
        return path.stat().st_size, look_at(path, seconds)

    return _looked_at(Database(path, None, needed), look)


def _looked_at(found: Database, look: Callable[[], tuple[int, Soundness]]) -> Database:
    try:
        size, soundness = look()
    except OSError:
        return found
    except InputError as error:
        return replace(found, trouble=Trouble.of(error))
    except Refused as refused:
        return replace(found, trouble=_trouble(found, refused))
    return replace(found, size=size, soundness=soundness)


def _trouble(found: Database, refused: Refused) -> Trouble:
    what = "the server and its log" if found.served else "its owner, its mode and the disk"
    damaged = refused.code is Code.STORE_CORRUPT
    remedy = "" if damaged else f"check {what}, then try again"
    return Trouble(f"{found.path}: {refused.detail}", remedy)


def _audit(settings: NodeConfig, found: Database) -> tuple[Database, int | None]:
    """Return what is known of the audit log, its signed head checked, and its last time."""
    sound = found.soundness
    if (
        found.size is None
        or found.trouble is not None
        or (sound and (sound.pending or sound.lacking))
    ):
        return found, None
    try:
        public = PrivateKey.load(settings.audit_key).public
        secret = read_secret_32(settings.audit_secret)
    except AccordError:
        return found, None  # the check of the keys tells
    try:
        place = log_place(settings)
        if found.served and not is_begun(place):
            return found, None  # the node begins it at its first start
        signed_head(place, origin(settings), public)
        with AuditReader.open(place, secret, public, origin(settings)) as reader:
            last = [entry.time_ms for entry in reader.entries(Filter({}, limit=1))]
    except (InputError, Refused) as error:
        return replace(found, trouble=Trouble.of(error)), None
    return found, max(last, default=None)


def witnessed(settings: NodeConfig, federation: Federation | None, now_ms: int) -> WitnessFacts:
    """Look at how the audit log is witnessed. Nothing is made."""
    rule = settings.witnesses
    if federation is None:
        return WitnessFacts(rule)
    memory: Memory | None = None
    try:
        if not has_log(settings):
            return WitnessFacts(rule)
        if settings.store_url is not None or (settings.data / FILE_NAME).exists():
            memory = open_memory(settings, looking=True)
        agencies = witnesses(federation, settings.agency, rule, now_ms)
        found = look_at_witnesses(log_place(settings), memory, rule, agencies)
    except AccordError as error:
        return WitnessFacts(rule, trouble=Trouble.of(error))
    finally:
        if memory is not None:
            memory.close()
    return WitnessFacts(rule, found, found.late(now_ms))


def _kept(
    settings: NodeConfig, store: ReadStore, policy: Policy, law: Law, own: Agency, now_ms: int
) -> Kept:
    """Return what is due by the stricter of policy and law, now and a day ago."""
    limits = limits_at(policy.retention, own, law, now_ms)
    before, day_before = cuts(limits, now_ms), cuts(limits, now_ms - DAY_MS)
    days = policy.retention.reads_days
    by_law = limits.reads.keep_ms < days * DAY_MS
    return Kept(
        settings.purge_every_s, days, before.reads_ms, by_law,
        store.due(before), store.due(day_before),
    )  # fmt: skip
