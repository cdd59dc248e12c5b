"""Every byte of the worked example in docs/protocol.md, made twice: by hand and by the code.

The encoder here knows nothing of protobuf's libraries or of our own code: what
it writes is what a partner would write who has the page alone.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from accord import envelope as dsse
from accord import hot_lists, model
from accord.agencies import Agency
from accord.codec import (
    decode_query,
    encode_credential,
    encode_query,
    envelope_from_bytes,
    envelope_to_bytes,
)
from accord.codec_answer import encode_answer, encode_body
from accord.envelope import Envelope, Signature, pae
from accord.errors import Code, Refused, Unverified
from accord.keys import ECDSA, ED25519, PublicKey
from accord.verification import verify_answer, verify_query, verify_refusal

DOC = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
EXAMPLE = DOC.partition("## Worked example")[2]
T = 1_790_000_000_000


def value(name: str) -> bytes:
    (text,) = re.findall(rf"^{name} =\n((?:  [0-9a-f]+\n)+)", EXAMPLE, re.MULTILINE)
    return bytes.fromhex("".join(text.split()))


def key(name: str) -> PublicKey:
    return PublicKey.from_der(value(f"public key of {name}"))


# A partner's encoder.


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def zigzag(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1


def field(number: int, content: int | str | bytes) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    raw = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    return b"".join(field(*one) for one in fields)


def signed_bytes(kind: str, payload: bytes) -> bytes:
    return f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload


def wrapped(kind: str, payload: bytes, *signatures: tuple[str, bytes]) -> bytes:
    return message(
        (1, payload),
        (2, kind),
        *((3, message((1, sig), (2, keyid))) for keyid, sig in signatures),
    )


def keyid(name: str) -> str:
    return hashlib.sha256(value(f"public key of {name}")).hexdigest()


QUERY = "application/vnd.accord.query.v1+protobuf"
CREDENTIAL = "application/vnd.accord.credential.v1+protobuf"
ANSWER = "application/vnd.accord.answer.v1+protobuf"
REFUSAL = "application/vnd.accord.refusal.v1+protobuf"
AGREEMENT = hashlib.sha256(b"the bytes of agreement.toml").digest()
QUERY_ID = bytes.fromhex("01a0c451566070008000000000000001")


def credential_by_hand() -> bytes:
    return message(
        (1, "harbor"),
        (2, "O-1"),
        (3, "Officer One"),
        (4, "detective"),
        (5, value("public key of the officer")),
        (6, 1790000000000),
        (7, 1790043200000),
        (8, "2026-03-02"),
        (9, "good"),
        (10, "missing-person"),
        (10, "stolen-vehicle"),
        (12, "employee"),
    )


def selectors_by_hand() -> dict[str, tuple[bytes, model.Selector]]:
    plate = message((1, "7INV001"), (2, "CA"))
    corners = ((476000000, -1223400000), (476100000, -1223400000), (476000000, -1223300000))
    box = (476000000, -1223400000, 476100000, -1223300000)
    points = [message(*enumerate(map(zigzag, corner), 1)) for corner in corners]
    circle = message((1, zigzag(476062000)), (2, zigzag(-1223321000)), (3, 400))
    listed = message((1, plate), (1, message((1, "8INV002"))))
    known = model.ExactPlate("7INV001", "CA"), model.ExactPlate("8INV002")
    return {
        "wildcard": (
            message((2, message((1, "7INV*"), (2, "CA")))),
            model.WildcardPlate("7INV*", "CA"),
        ),
        "look-alike": (message((6, plate + field(3, 2))), model.LookAlikePlate("7INV001", "CA", 2)),
        "plates": (message((7, listed)), model.PlateList(known)),
        "area": (
            message((3, message(*enumerate(map(zigzag, box), 1)))),
            model.AreaBox(*box),
        ),
        "circle": (message((8, circle)), model.AreaCircle(476062000, -1223321000, 400)),
        "polygon": (
            message((9, message(*((1, point) for point in points)))),
            model.AreaPolygon(corners),
        ),
        "hot list": (message((4, plate)), model.HotListPlate("7INV001", "CA")),
        "photo": (message((5, message((1, b"\xbb" * 16)))), model.PhotoOf(b"\xbb" * 16)),
    }


def query_by_hand() -> bytes:
    return message(
        (1, QUERY_ID),
        (2, b"\xaa" * 16),
        (3, 1790000060000),
        (4, 1790000120000),
        (5, "harbor"),
        (6, "city"),
        (7, value("credential envelope")),
        (8, "stolen-vehicle"),
        (9, "26-0417"),
        (10, "Vehicle taken at pier 4"),
        (12, AGREEMENT),
        (14, message((1, message((1, "7INV001"), (2, "CA"))))),
        (15, message((1, 1789395200000), (2, 1790000000000))),
        (16, bytes([1, 2])),
        (17, 100),
        (21, "vehicle-theft"),
        (22, message((1, "supervisor"), (2, "O-9"), (3, "A-17"), (4, "2026-09-20"))),
        (23, 1),
    )


def body_by_hand() -> bytes:
    place = message((1, zigzag(476062000)), (2, zigzag(-1223321000)), (3, 500))
    read = message(
        (1, b"\xbb" * 16),
        (2, "city"),
        (3, "7INV001"),
        (4, "CA"),
        (5, 1789913580000),
        (6, 60000),
        (7, place),
        (11, 912),
    )
    return message(
        (1, value("query digest")),
        (2, QUERY_ID),
        (3, "city"),
        (4, "harbor"),
        (5, AGREEMENT),
        (6, 1790000061000),
        (7, read),
        (10, 1),
        (11, 1),
        (14, message((1, 1797776061000), (2, "IV"))),
    )


def selector_of_hits_by_hand() -> bytes:
    return message((12, message((1, message((1, "7INV001"), (2, "CA"))))))


def hit_by_hand() -> bytes:
    entry = message(
        (1, "Stolen vehicles"),
        (2, "State bureau"),
        (3, "7INV001"),
        (4, "CA"),
        (5, "stolen-vehicle"),
        (6, 1789904700000),
        (7, 7200),
        (8, 1),
    )
    notice = "Verify before acting."
    return message((1, b"\xbb" * 16), (2, entry), (4, 1789913580000), (5, 1), (6, notice))


def state_by_hand() -> bytes:
    times = ((3, 1789904700000), (4, 7200))
    return message((1, "Stolen vehicles"), (2, "State bureau"), *times, (5, 1), (6, 1))


def leaf_by_hand() -> bytes:
    def commitment(name: str, salt: int, text: str) -> bytes:
        framed = b"accord-audit-field-v1\0" + bytes([len(name)]) + name.encode()
        digest = hashlib.sha256(framed + bytes([salt]) * 16 + text.encode()).digest()
        return message((1, name), (2, digest))

    return message(
        (1, commitment("answer_digest", 0xB0, hashlib.sha256(body_by_hand()).hexdigest())),
        (1, commitment("kind", 0xB1, "answer")),
        (1, commitment("query_digest", 0xB2, value("query digest").hex())),
    )


def proof_by_hand() -> bytes:
    """The last of 42 entries: beside it entry 40, then the trees over 32 to 39 and 0 to 31."""

    def tree(hashes: list[bytes]) -> bytes:
        while len(hashes) > 1:
            pairs = zip(hashes[::2], hashes[1::2], strict=True)
            hashes = [hashlib.sha256(b"\x01" + one + two).digest() for one, two in pairs]
        return hashes[0]

    def base64(data: bytes) -> str:
        return b64encode(data).decode()

    others = [hashlib.sha256(b"\0" + bytes([number])).digest() for number in range(41)]
    path = [others[40], tree(others[32:40]), tree(others[:32])]
    root = hashlib.sha256(b"\0" + leaf_by_hand()).digest()
    for beside in path:
        root = hashlib.sha256(b"\x01" + beside + root).digest()
    head = "".join(f"{line}\n" for line in ("index 41", *map(base64, path)))
    text = f"city/node\n42\n{base64(root)}\n"
    # The signature itself is the page's.
    (signed,) = re.findall(r"^\u2014 city/node (\S+)\n```$", EXAMPLE, re.MULTILINE)
    raw = key("the owner's log").der[-32:]
    signature = b64decode(signed)
    assert signature[:4] == hashlib.sha256(b"city/node\n\x01" + raw).digest()[:4]
    Ed25519PublicKey.from_public_bytes(raw).verify(signature[4:], text.encode())
    return f"c2sp.org/tlog-proof@v1\n{head}\n{text}\n\u2014 city/node {signed}\n".encode()


def answer_by_hand() -> bytes:
    salts = (3, b"\xb2" * 16), (4, b"\xb0" * 16)
    receipt = ((1, "city/node"), (2, leaf_by_hand()), *salts, (5, proof_by_hand()))
    return message((1, body_by_hand()), (2, message(*receipt)))


def refusal_by_hand() -> bytes:
    return message(
        (1, value("query digest")),
        (2, "city"),
        (3, "harbor"),
        (4, "PURPOSE_NOT_AGREED"),
        (5, "II.A"),
        (6, "The agreement does not hold this purpose."),
        (7, "records@city.example"),
        (8, 1790000061000),
    )


BY_HAND = {
    "credential payload": credential_by_hand,
    "credential PAE": lambda: signed_bytes(CREDENTIAL, credential_by_hand()),
    "credential envelope": lambda: wrapped(
        CREDENTIAL,
        credential_by_hand(),
        (keyid("the personnel desk"), value("signature of the personnel desk")),
    ),
    "query payload": query_by_hand,
    "query digest": lambda: hashlib.sha256(signed_bytes(QUERY, query_by_hand())).digest(),
    "query envelope": lambda: wrapped(
        QUERY,
        query_by_hand(),
        (keyid("the officer"), value("signature of the officer")),
        (keyid("the home node"), value("signature of the home node")),
    ),
    "answer body": body_by_hand,
    "leaf": leaf_by_hand,
    "answer payload": answer_by_hand,
    "refusal payload": refusal_by_hand,
    "selector of hits": selector_of_hits_by_hand,
    "hit": hit_by_hand,
    "state of a list": state_by_hand,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_bytes_by_hand(name):
    assert BY_HAND[name]() == value(name)


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02")]
)
def test_the_encoder_by_the_protobuf_specification(number, expected):
    assert varint(number).hex() == expected


# The product's code.


def agency(name: str, node: PublicKey, personnel: PublicKey, *audit: PublicKey) -> Agency:
    return Agency(
        id=name,
        number=1,
        name=name,
        kind="police",
        state="CA",
        contact="records@city.example",
        root="0" * 64,
        cas=(),
        keys={"node": (node,), "personnel": (personnel,), "audit": audit},
        endpoints=(),
        payload_versions=("query.v1",),
        issued_at_ms=T,
        expires_at_ms=T + 86_400_000,
        revoked=frozenset(),
    )


HARBOR = agency("harbor", key("the home node"), key("the personnel desk"))
CITY = agency("city", key("the owner's node"), key("the owner's node"), key("the owner's log"))


def verified_query():
    envelope = envelope_from_bytes(value("query envelope"))
    return verify_query(envelope, {"harbor": HARBOR, "city": CITY}, T + 60_500)


def answer() -> Envelope:
    signature = Signature(keyid("the owner's node"), value("signature of the answer"))
    return Envelope(ANSWER, value("answer payload"), (signature,))


def test_both_kinds_of_keys_are_in_it():
    kinds = {key(name).algorithm for name in ("the officer", "the home node")}
    assert kinds == {ED25519, ECDSA}


def test_the_query_is_one_that_a_node_takes():
    verified = verified_query()
    query = verified.query
    assert verified.digest == value("query digest")
    assert verified.home.id == "harbor"
    assert query.selector == model.ExactPlate("7INV001", "CA")
    assert query.window == model.Window(T - 7 * 86_400_000, T)
    assert query.fields == (model.Field.TIME, model.Field.PLACE)
    assert query.credential.not_after_ms - query.credential.issued_at_ms == 12 * 3_600_000
    assert encode_credential(query.credential) == value("credential payload")
    assert encode_query(query, value("credential envelope")) == value("query payload")
    assert pae(dsse.CREDENTIAL, value("credential payload")) == value("credential PAE")
    again = envelope_from_bytes(value("query envelope"))
    assert envelope_to_bytes(again) == value("query envelope")


def test_a_query_with_one_bit_turned_is_not_taken():
    raw = bytearray(value("query envelope"))
    raw[raw.index(b"7INV001")] ^= 1
    with pytest.raises(Unverified, match="SIGNATURE_INVALID"):
        verify_query(envelope_from_bytes(bytes(raw)), {"harbor": HARBOR}, T + 60_500)


def test_the_answer_is_one_that_a_client_shows():
    verified = verified_query()
    found = verify_answer(answer(), verified.query, verified.digest, CITY)
    assert found.body_bytes == value("answer body") == encode_body(found.body)
    assert [read.place for read in found.body.reads] == [
        model.Place(476_062_000, -1_223_321_000, 500)
    ]
    assert found.log_index == 41
    (proof,) = re.findall(r"```proof\n(.*?)```", EXAMPLE, re.DOTALL)
    assert proof.encode() == proof_by_hand()
    salts = b"\xb2" * 16, b"\xb0" * 16
    receipt = model.Receipt("city/node", value("leaf"), *salts, proof.encode())
    assert found.receipt == receipt
    assert encode_answer(found.body_bytes, receipt) == value("answer payload")


def test_the_answer_to_another_query_is_not_shown():
    query = verified_query().query
    with pytest.raises(Unverified, match="ANSWER_UNVERIFIED"):
        verify_answer(answer(), query, hashlib.sha256(b"another").digest(), CITY)
    other = replace(query, selector=model.ExactPlate("7INV002", "CA"))
    with pytest.raises(Unverified, match="ANSWER_UNVERIFIED"):
        verify_answer(answer(), other, value("query digest"), CITY)


def test_the_refusal_is_one_that_a_client_believes():
    signature = Signature(keyid("the owner's node"), value("signature of the refusal"))
    envelope = Envelope(REFUSAL, value("refusal payload"), (signature,))
    verified = verified_query()
    refusal = verify_refusal(envelope, verified.query, verified.digest, CITY)
    assert (refusal.code, refusal.section) == ("PURPOSE_NOT_AGREED", "II.A")
    with pytest.raises(Unverified, match="SIGNATURE_INVALID"):
        verify_refusal(envelope, verified.query, verified.digest, HARBOR)


def test_hits_are_written_as_the_page_says():
    asked = model.HitsOf(model.ExactPlate("7INV001", "CA"))
    query = replace(verified_query().query, selector=asked)
    assert message((14, value("selector of hits"))) in encode_query(query, b"")
    entry = hot_lists.HotListEntry(
        "Stolen vehicles", "State bureau", "7INV001", "CA", "stolen-vehicle", 1789904700000, 7200
    )
    hit = hot_lists.SharedHit(
        b"\xbb" * 16, entry, False, 1789913580000, True, True, "Verify before acting."
    )
    body = replace(
        verify_answer(answer(), verified_query().query, value("query digest"), CITY).body,
        hits=(hit,),
    )
    assert encode_body(body).endswith(message((16, value("hit"))))
    state = hot_lists.HotListState(
        "Stolen vehicles", "State bureau", 1789904700000, 7200, True, True
    )
    told = replace(body, lists=(state,))
    assert encode_body(told).endswith(message((17, value("state of a list"))))
    # As the page counts it: 2 h 28 min to the moment, and a minute for the step.
    assert hit.age_ms(60_000) == 8_880_000 + 59_999 > entry.max_age_s * 1000
    assert hit.stale is entry.stale_at(hit.matched_ms + 59_999)


@pytest.mark.parametrize("name", selectors_by_hand())
def test_every_selector_is_told_byte_by_byte(name: str) -> None:
    by_hand, selector = selectors_by_hand()[name]
    assert value(f"selector {name}") == by_hand
    query, credential = verified_query().query, value("credential envelope")
    payload = encode_query(replace(query, selector=selector), credential)
    other = field(14, message((1, message((1, "7INV001"), (2, "CA")))))
    assert payload == query_by_hand().replace(other, field(14, by_hand))
    assert decode_query(payload, query.credential).selector == selector


@pytest.mark.parametrize(
    "selector",
    [
        model.LookAlikePlate("7INV001", "CA", 0),
        model.LookAlikePlate("7INV001", "CA", 4),
        model.LookAlikePlate("7inv001"),
        model.PlateList((model.ExactPlate("7INV001"),)),
        model.PlateList((model.ExactPlate("8INV002"), model.ExactPlate("7INV001"))),
        model.PlateList((model.ExactPlate("7INV001", "CA"), model.ExactPlate("7INV001", "NV"))),
        model.PlateList(tuple(model.ExactPlate(f"A{n:03}") for n in range(101))),
        model.AreaCircle(476062000, -1223321000, 0),
        model.AreaCircle(476062000, -1223321000, 50_001),
        model.AreaPolygon(((0, 0), (1, 1))),
        model.AreaPolygon(((0, 0), (10, 10), (0, 10), (10, 0))),
        model.AreaPolygon(tuple((n * n, n) for n in range(65))),
    ],
)
def test_a_selector_out_of_its_limits_is_refused(selector: model.Selector) -> None:
    query, credential = verified_query().query, value("credential envelope")
    with pytest.raises(Refused) as refused:
        decode_query(encode_query(replace(query, selector=selector), credential), query.credential)
    assert refused.value.code is Code.BAD_QUERY


LITERALS = [
    "harbor",
    "O-1",
    "detective",
    "1790000000000",
    "1790043200000",
    "2026-03-02",
    "missing-person",
    "1790000060000",
    "1790000120000",
    "26-0417",
    "1789395200000",
    "1789913580000",
    "60000",
    "476062000",
    "-1223321000",
    "500",
    "912",
    "1797776061000",
    "1790000061000",
    "PURPOSE_NOT_AGREED",
    "II.A",
    "records@city.example",
    "city/node",
    "41",
    "employee",
    "vehicle-theft",
    "supervisor",
    "O-9",
    "A-17",
    "2026-09-20",
]


@pytest.mark.parametrize("literal", [*LITERALS, QUERY_ID.hex(), "Vehicle taken at pier 4"])
def test_the_table_names_the_values(literal):
    assert re.search(rf"[ `(]{re.escape(literal)}[ `,;)]", EXAMPLE.partition("```")[0])
