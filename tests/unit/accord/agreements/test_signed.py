"""Counterparts, instruments and heads: one check of root and signature for all three."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from accord.agencies import Agency
from accord.agreements import counterparts, heads, instrument_payload
from accord.agreements.counterparts import sign_counterpart, verify_counterpart
from accord.agreements.heads import HOUR_MS, Head, sign_head, verify_head
from accord.agreements.instrument_payload import sign_instrument, verify_instrument
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.manifest import Manifest
from accord.errors import Code, InputError, Unverified
from accord.keys import PrivateKey
from tests.unit.accord.agreements.conftest import NOW_MS

COUNSEL, NODE = PrivateKey.generate(), PrivateKey.generate()
STOP = Instrument(
    "city", 1, InstrumentKind.SUSPENSION, "Jane Roe", "Counsel", NOW_MS, Details(reason="x")
)


@dataclass(frozen=True)
class Signed:
    """One kind of file: how it is signed and verified, and by whose key."""

    what: str
    limit: int
    by: PrivateKey
    sign: Callable[[Manifest, PrivateKey], bytes]
    verify: Callable[[bytes, Manifest, Agency], object]


KINDS = (
    Signed(
        "a counterpart", counterparts.MAX_BYTES, COUNSEL,
        lambda m, key: sign_counterpart(m, "city", "Jane Roe", "Counsel", NOW_MS, key),
        lambda data, m, agency: verify_counterpart(data, m, agency, "x"),
    ),
    Signed(
        "an instrument", instrument_payload.MAX_BYTES, COUNSEL,
        lambda m, key: sign_instrument(m, STOP, key),
        lambda data, m, agency: verify_instrument(data, m, agency, 1, "x"),
    ),
    Signed(
        "a head", heads.MAX_BYTES, NODE,
        lambda m, key: sign_head(m, Head("city", 1, NOW_MS, NOW_MS + HOUR_MS), key),
        lambda data, m, agency: verify_head(data, m, agency, "x"),
    ),
)  # fmt: skip


@pytest.fixture
def city(world) -> Agency:
    keys = {"counsel": (COUNSEL.public,), "node": (NODE.public,)}
    return replace(world.agencies["city"], keys=keys)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.what)
def test_root_and_signature_are_those_of_the_party(world, city, kind):
    manifest = world.manifest(head_hours=24)
    data = kind.sign(manifest, kind.by)
    assert kind.verify(data, manifest, city)
    with pytest.raises(InputError, match="x: city has another root key than the agreement names"):
        kind.verify(data, manifest, replace(city, root="0" * 64))
    with pytest.raises(InputError, match="'county' is not a party; the parties are city, harbor"):
        kind.verify(data, manifest, replace(city, id="county"))
    other = NODE if kind.by is COUNSEL else COUNSEL
    for key in (other, PrivateKey.generate()):
        with pytest.raises(Unverified, match=r"x: ") as caught:
            kind.verify(kind.sign(manifest, key), manifest, city)
        assert caught.value.code is Code.SIGNATURE_INVALID
    said = f"x: is larger than {kind.limit // 1024} KiB; this can't be {kind.what}"
    with pytest.raises(InputError, match=said):
        kind.verify(data.ljust(kind.limit + 1), manifest, city)
    assert kind.verify(data.ljust(kind.limit), manifest, city)
