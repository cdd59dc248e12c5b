"""What the node's decisions stand on, in one place and handed to each of them."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import structlog

from accord.agreements.decide import OWN_SECTION
from accord.agreements.law.rules import Law, Rule
from accord.agreements.policy import Policy
from accord.agreements.retention import Limits, limits
from accord.audit.leaf import Record
from accord.audit.log import AuditLog, Entry
from accord.clock import Clock
from accord.errors import Code, Refused
from accord.federation import Federation
from accord.keys import Signer
from accord.model import Query, Read
from node.delivered import Delivered
from node.halt import Halt
from node.ids import Names
from node.leap import heads_of_others
from node.photos import Photos
from node.rates import Bound, Counting, bounds
from node.replay import ReplayGuard
from node.retention import binding, limits_at
from node.sources import Sources
from node.store.base import ReadStore

log = structlog.get_logger()

Bands = tuple[float, float]


def _no_policy() -> Refused:
    """Return the refusal where the policy went away after the decision."""
    return Refused(Code.LOCAL_POLICY, section=OWN_SECTION, detail="policy.toml can't be read")


class Context:
    """One node's parts. Read-only but for what :class:`Sources` reloads."""

    def __init__(
        self,
        *,
        agency: str,
        signer: Signer,
        clock: Clock,
        sources: Sources,
        delivered: Delivered,
        store: ReadStore,
        photos: Photos,
        guard: ReplayGuard,
        counting: Counting,
        audit: AuditLog,
        secret: bytes,
        halt: Halt,
        brokers: frozenset[str],
        bands: Mapping[str, Bands],
    ) -> None:
        self.agency = agency
        self.signer = signer
        self.clock = clock
        self.sources = sources
        self.delivered = delivered
        self.store = store
        self.photos = photos
        self.guard = guard
        self.audit = audit
        self.halt = halt
        self.brokers = brokers
        self._bands = bands
        self._counting = counting
        self._last: tuple[Policy, tuple[Rule, ...], Limits] | None = None
        self._names = lru_cache(maxsize=256)(lambda d, r: Names(secret, d, r))

    @property
    def federation(self) -> Federation:
        """The agencies and agreements as they stand now."""
        return self.sources.federation

    @property
    def policy(self) -> Policy | None:
        """Our own policy, or None while its file can't be read: nothing is shared then."""
        return self.sources.policy

    @property
    def law(self) -> Law:
        """The law that binds us as owner, our own counsel's updates among it.

        Raises:
            Refused: ``LOCAL_POLICY`` while an update can't be used: nothing is shared then.
        """
        law = self.sources.law
        if law is None:
            problem = "an update of the law can't be used"
            raise Refused(Code.LOCAL_POLICY, section=OWN_SECTION, detail=problem)
        return law

    @property
    def contact(self) -> str:
        """Whom a refused officer may talk to."""
        own = self.federation.agencies.get(self.agency)
        return own.contact if own else ""

    def names(self, query: Query) -> Names:
        """Return the names that this requester sees under this agreement."""
        return self._names(query.agreement_digest, query.requesting_agency)

    def earliest_read_ms(self) -> int:
        """Return the moment before which every read is due: it is hidden from then on.

        MOA IV: retention is each party's own policy; a law may hold a shorter time.
        """
        now_ms, kept = self._kept()
        return now_ms - kept.reads.keep_ms

    def earliest_photo_ms(self) -> int:
        """Return the moment before which the photo of every read is due.

        Of a read that met a hot list too: its photo is given as any read's is.
        """
        now_ms, kept = self._kept()
        return now_ms - min(kept.photos.keep_ms, kept.reads.keep_ms)

    def earliest_entry_ms(self) -> int:
        """Return the moment before which every published hot list is due."""
        now_ms, kept = self._kept()
        return now_ms - kept.hot_list.keep_ms

    def earliest_hit_ms(self) -> int:
        """Return the moment before which the hits of every read are due."""
        now_ms, kept = self._kept()
        return now_ms - kept.hits.keep_ms

    def kept(self) -> Limits | None:
        """Return how long what is kept now; None while our policy can't be read.

        For what deletes: while counsel's update of the law can't be used, all
        other law counts.
        """
        policy, own = self.policy, self.federation.agencies.get(self.agency)
        if policy is None:
            return None
        return limits_at(policy.retention, own, self.sources.law, self.clock.now_ms())

    def other_heads(self) -> list[int]:
        """Return when other agencies' nodes signed the heads that are held, ms UTC."""
        return [at_ms for _, at_ms in heads_of_others(self.federation, self.agency)]

    def _kept(self) -> tuple[int, Limits]:
        """Return now, and what policy and law leave together now."""
        policy, own = self.policy, self.federation.agencies.get(self.agency)
        if policy is None:
            raise _no_policy()
        if own is None:
            raise Refused(Code.NODE_UNKNOWN, detail="our own agency.toml is not valid now")
        now_ms = self.clock.now_ms()
        bound = binding(own, self.law, now_ms)
        # Asked with every query, while both are the same objects for long.
        last = self._last
        if last is None or last[0] is not policy or last[1] is not bound:
            last = self._last = (policy, bound, limits(policy.retention, bound))
        return now_ms, last[2]

    async def throttle(self, query: Query, use: str, agreed: Iterable[Bound] = ()) -> None:
        """Count a query against the limits of our policy, as home or as owner (MOA II.B).

        ``agreed`` are those of the agreement, beside them.

        Raises:
            Refused: ``RATE_EXCEEDED``; ``STORE_UNAVAILABLE`` where it can't be counted.
        """
        policy = self.policy
        if policy is None:
            raise _no_policy()
        officer, agency = query.credential.officer, query.requesting_agency
        own = bounds(use, agency, officer, query.audience, policy.rates)
        await self._counting.admit((*own, *agreed))

    def bands_of(self, camera: str) -> Bands:
        """Return the overlay bands of a camera: fractions of height, top and bottom."""
        return self._bands.get(camera) or self._bands.get("*", (0.0, 0.0))

    def photo_digest(self, read: Read, masked: bool) -> bytes:
        """Return the digest of a read's photo as it would be given out; b"" for none.

        A damaged photo is none, and an alert: it must not hide the rows beside it.
        """
        if not read.photo:
            return b""
        try:
            return self.photos.given_digest(read.photo, masked, self.bands_of(read.camera))
        except Refused as refused:
            log.warning("alert: a photo can't be used", code=refused.code, detail=refused.detail)
            return b""

    async def record(self, kind: str, fields: Mapping[str, str]) -> Entry:
        """Append to the audit log; durable when it returns.

        Raises:
            Refused: ``AUDIT_UNAVAILABLE``.
        """
        if fields.get("mark") in ("S", "H"):
            log.warning("alert", kind=kind, code=fields.get("code"), peer=fields.get("peer"))
        return await self.audit.append(Record(kind, fields))
