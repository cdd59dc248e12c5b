"""Updates of the law that an agency's own counsel signs, without a release. Pure, on bytes.

``us-ca.toml`` is a pack (see :mod:`accord.agreements.law.reading`), ``us-ca.sig``
the detached signature by one of the agency's counsel keys over its exact bytes.
An update stands beside the packs that come with Accord, so it only narrows; the
floor takes none.
"""

from collections.abc import Iterable, Iterator
from datetime import date

from accord import envelope as dsse
from accord.agreements.law.reading import parse_pack
from accord.agreements.law.rules import EVERY_STATE, Law, Pack, Retention, Rule
from accord.envelope import SignedBy, sign
from accord.envelope_json import detached_from_json, detached_to_json
from accord.errors import Unverified
from accord.keys import PublicKey, Signer


def parse_update(data: bytes, where: object) -> Pack:
    """Return the pack that an update's bytes say.

    Raises:
        InputError: what no pack can be, or the floor.
    """
    return parse_pack(data, where, update=True)


def sign_update(data: bytes, where: object, key: Signer) -> bytes:
    """Return the signature file over an update.

    Raises:
        InputError: what can't be an update.
    """
    parse_update(data, where)
    return detached_to_json(sign(dsse.LAW, data, key))


def verify_update(
    data: bytes, signature: bytes, keys: Iterable[PublicKey], agency: str, where: object
) -> Pack:
    """Return the update once counsel's signature over its bytes is verified.

    Raises:
        InputError: a file that is not what it should be.
        Unverified: ``SIGNATURE_INVALID`` or ``MALFORMED``; the file is named.
    """
    envelope = detached_from_json(signature, data, f"{where}: signature")
    try:
        verified = dsse.verify(envelope, dsse.LAW, SignedBy(keys, f"counsel of {agency}"))
    except Unverified as problem:
        raise Unverified(problem.code, f"{where}: {problem.problem}") from None
    return parse_update(verified, where)


def remarks(pack: Pack, law: Law, today: date) -> Iterator[tuple[Rule, str]]:
    """Yield the rules of a pack that change nothing today beside the law, and why."""
    for rule in pack.rules:
        if not rule.applied:
            yield rule, "it is recorded: no machine applies it"
        elif rule.until is not None and rule.until < today:
            yield rule, f"it is over: its last day was {rule.until}"
        elif rule.begins > today:
            yield rule, f"it is not in force yet: its first day is {rule.begins}"
        elif stricter := _as_strict(rule, law, today):
            yield rule, f"{stricter.key} is as strict"


def _as_strict(rule: Rule, law: Law, today: date) -> Rule | None:
    """Return a retention that binds all whom this one binds, and is no longer."""
    if not isinstance(rule.demand, Retention):
        return None
    for pack in law.packs:
        for one in pack.rules:
            covers = pack.applies_to in (EVERY_STATE, rule.applies_to) and (
                not one.bound_kinds or (rule.bound_kinds and rule.bound_kinds <= one.bound_kinds)
            )
            lasting = one.applied and one.in_force(today) and one.until is None
            strict = (
                isinstance(one.demand, Retention)
                and one.demand.keep_ms <= rule.demand.keep_ms
                and one.demand.covers >= rule.demand.covers
            )
            if covers and lasting and strict:
                return one
    return None
