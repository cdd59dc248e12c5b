"""Redaction: what the agreement lets the requester see of a read. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from accord.agreements.provisions import HotListRule
from accord.agreements.terms import CameraSharing, PhotoSharing, Redaction
from accord.hot_lists import HotListEntry, HotListState, SharedHit
from accord.model import Field, Place, Read, SharedRead
from node.grid import snap
from node.ids import Names
from node.store.base import HotList, StoredHit


def redact(
    read: Read,
    row_id: int,
    *,
    agency: str,
    redaction: Redaction,
    wanted: frozenset[Field],
    names: Names,
    photo_digest: bytes = b"",
    away: int = 0,
) -> SharedRead:
    """Return the read as shared: MOA I.C names the fields, the terms how.

    A field that is not wanted is left out too. The time is always there,
    rounded down to the agreed step, since rows are merged by it. ``away`` is
    the number of substitutions of a loose match.
    """
    return SharedRead(
        read_id=names.read_id(row_id),
        originator=agency,
        plate=read.plate,
        state=read.state,
        captured_ms=read.captured_ms // redaction.time_step_ms * redaction.time_step_ms,
        time_step_ms=redaction.time_step_ms,
        place=_place(read, redaction) if Field.PLACE in wanted else None,
        camera=_camera(read, redaction, names) if Field.CAMERA in wanted else "",
        camera_is_pseudonym=(
            Field.CAMERA in wanted and redaction.camera is CameraSharing.PSEUDONYM
        ),
        vehicle=read.vehicle if redaction.vehicle and Field.VEHICLE in wanted else None,
        confidence_pm=read.confidence_pm if redaction.confidence else 0,
        photo_digest=(
            photo_digest
            if redaction.photo is not PhotoSharing.NONE and Field.PHOTO in wanted
            else b""
        ),
        substitutions=away,
    )


def is_shared(
    entry: HotListEntry, rule: HotListRule | None, purposes: frozenset[str] | None
) -> bool:
    """Tell whether entries of this category, list and source are shared.

    The category is what the vehicle is looked for: where the pair may not ask for
    that (``purposes``; None: an own officer), it is not told either.
    """
    if purposes is not None and entry.category not in purposes:
        return False
    return rule is None or _is_named(entry.list, entry.source, rule)


def _is_named(name: str, source: str, rule: HotListRule) -> bool:
    named = rule.lists is None or name in rule.lists
    return named and (rule.sources is None or source in rule.sources)


def shared_entry(entry: HotListEntry, rule: HotListRule) -> HotListEntry:
    """Return the entry as shared, with the shorter of its own and the agreed maximum age."""
    age_s = entry.max_age_s if rule.max_age_s is None else min(entry.max_age_s, rule.max_age_s)
    return replace(
        entry,
        list=entry.list if rule.list else "",
        source=entry.source if rule.source else "",
        category=entry.category if rule.category else "",
        max_age_s=age_s,
    )


def shared_states(
    held: Iterable[HotList], rule: HotListRule | None, now_ms: int, *, hits: bool
) -> tuple[HotListState, ...]:
    """Return how old the lists are that may be asked for, or whose ``hits`` may be."""
    found = []
    for one in held:
        entry = HotListEntry(one.name, one.source, "", "", "", one.published_ms, one.max_age_s)
        if rule is not None:
            if not _is_named(one.name, one.source, rule) or (hits and one.name not in rule.hits):
                continue
            entry = shared_entry(entry, rule)
        found.append(
            HotListState(
                entry.list,
                entry.source,
                entry.published_ms,
                entry.max_age_s,
                entry.stale_at(now_ms),
                one.refused_at(now_ms),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.list, one.source, one.published_ms)))


def shared_hit(
    hit: StoredHit, read_id: bytes, rule: HotListRule | None, time_step_ms: int
) -> SharedHit:
    """Return a hit as shared: when the read arrived tells no more than its own time does."""
    entry = hit.entry if rule is None else shared_entry(hit.entry, rule)
    matched_ms = hit.matched_ms // time_step_ms * time_step_ms
    return SharedHit(
        read_id=read_id,
        entry=entry,
        possible=hit.possible,
        matched_ms=matched_ms,
        stale=entry.stale_at(matched_ms + time_step_ms - 1),
        still_listed=hit.still_listed,
        notice=hit.notice,
    )


def _place(read: Read, redaction: Redaction) -> Place | None:
    if redaction.place_within_m is None or read.lat_e7 is None or read.lon_e7 is None:
        return None
    if redaction.place_within_m == 0:
        return Place(read.lat_e7, read.lon_e7)
    lat_e7, lon_e7 = snap(read.lat_e7, read.lon_e7, redaction.place_within_m)
    return Place(lat_e7, lon_e7, redaction.place_within_m)


def _camera(read: Read, redaction: Redaction, names: Names) -> str:
    if redaction.camera is CameraSharing.EXACT:
        return read.camera
    if redaction.camera is CameraSharing.PSEUDONYM:
        return names.pseudonym(read.camera)
    return ""
