"""Hikvision ISAPI: pushed events in every name space, forms, pulled lists, and bombs."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from node.ingest.fields import FOREIGN
from node.ingest.hikvision import Hikvision
from node.ingest.report import MAX_CONTENT, Parsed, Passed
from node.ingest.settings import Camera, Settings
from node.ingest.times import REPEATED
from tests.unit.node.ingest.damage import (
    check_neighbours,
    check_retry,
    cut,
    noise,
    plates,
    refusals,
    run,
    spliced,
)

FORM = Hikvision()
NONE = Settings()
PACIFIC = Settings(zone=ZoneInfo("America/Los_Angeles"))
SHARED = Path(__file__).parents[5] / "shared" / "samples"
SPACES = [
    ' xmlns="http://www.hikvision.com/ver20/XMLSchema"',
    ' xmlns="http://www.isapi.org/ver20/XMLSchema"',
    ' xmlns="http://www.std-cgi.com/ver20/XMLSchema"',
    "",
]


def alert(
    plate: str = "TEST001",
    time: str = "2026-03-01T00:30:00-08:00",
    *,
    space: str = SPACES[0],
    more: str = "<UUID>{plate}-UUID</UUID>",
    anpr: str = "<confidenceLevel>97</confidenceLevel>",
    kind: str = "ANPR",
) -> str:
    """An invented event; the position is the one of a device fresh from the factory."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<EventNotificationAlert version="2.0"{space}>'
        "<ipAddress>192.0.2.7</ipAddress><macAddress>00:00:5e:00:53:01</macAddress>"
        f"<channelID>1</channelID><dateTime>{time}</dateTime><eventType>{kind}</eventType>"
        f"<ANPR><licensePlate>{plate}</licensePlate><direction>forward</direction>{anpr}"
        "<vehicleType>SUVMPV</vehicleType><vehicleInfo><color>white</color></vehicleInfo></ANPR>"
        "<DeviceGPSInfo><Longitude><degree>111</degree></Longitude></DeviceGPSInfo>"
        f"{more.format(plate=plate)}</EventNotificationAlert>\n"
    )


def pulled(*items: tuple[str, str], country: str = "USA", space: str = SPACES[0]) -> str:
    inner = "".join(
        f"<Plate><captureTime>{time}</captureTime><plateNumber>{plate}</plateNumber>"
        f"<picName>{plate}{time}</picName><country>{country}</country></Plate>"
        for plate, time in items
    )
    return f'<?xml version="1.0"?><Plates version="2.0"{space}>{inner}</Plates>'


def only(content: str, settings: Settings = NONE) -> Parsed:
    (found,) = run(FORM, content.encode(), settings)
    assert isinstance(found, Parsed)
    return found


@pytest.mark.parametrize("space", SPACES)
def test_an_event_becomes_a_read_in_every_name_space(space: str) -> None:
    read = only(alert(space=space)).read
    assert (read.plate, read.state, read.camera) == ("TEST001", "", "00:00:5e:00:53:01/1")
    assert (read.captured_ms, read.confidence_pm) == (1_772_353_800_000, 970)
    assert (read.lat_e7, read.lon_e7) == (None, None)
    assert read.vehicle is not None
    assert (read.vehicle.colour, read.vehicle.body) == ("white", "SUVMPV")


def prefixed(content: str, prefix: str = "hik") -> str:
    space = f' xmlns:{prefix}="http://www.hikvision.com/ver20/XMLSchema"'
    declaration, rest = content.split("\n", 1)
    rest = rest.replace("</", "\1").replace("<", f"<{prefix}:").replace("\1", f"</{prefix}:")
    return declaration + "\n" + rest.replace(' version="2.0"', ' version="2.0"' + space, 1)


def test_a_prefixed_root_is_the_same() -> None:
    assert FORM.recognises(prefixed(alert(space="")).encode())
    assert only(prefixed(alert(space=""))).read == only(alert()).read


@pytest.mark.parametrize(
    ("text", "per_mille"), [("97", 970), ("97.46", 975), ("", 0), ("high", 0), ("900", 1000)]
)
def test_confidence_may_be_a_float(text: str, per_mille: int) -> None:
    anpr = f"<confidenceLevel>{text}</confidenceLevel>"
    assert only(alert(anpr=anpr)).read.confidence_pm == per_mille


@pytest.mark.parametrize("plate", ["unknown", "UNKNOWN", "Unknown", "", " "])
def test_unknown_is_no_plate(plate: str) -> None:
    found = run(FORM, alert(plate).encode() + alert("TEST002").encode(), NONE)
    assert [type(row) for row in found] == [Passed, Parsed]


def test_what_only_looks_unknown_is_a_plate() -> None:
    assert only(alert("UNKNWN")).read.plate == "UNKNWN"


def test_other_events_are_passed_over() -> None:
    found = run(FORM, alert(kind="videoloss").encode(), NONE)
    assert [type(row) for row in found] == [Passed]


def test_a_local_time_takes_the_configured_zone_and_the_repeated_hour_is_noted() -> None:
    local = alert(time="2026-03-01T00:30:00")
    assert "zone" in refusals(run(FORM, local.encode(), NONE))[0]
    assert only(local, PACIFIC).read.captured_ms == 1_772_353_800_000
    repeated = only(alert(time="2026-11-01T01:30:00"), PACIFIC)
    assert repeated.notes == (REPEATED,)
    skipped = run(FORM, alert(time="2026-03-08T02:30:00").encode(), PACIFIC)
    assert "skipped" in refusals(skipped)[0]
    # An offset in the text is what counts.
    assert only(alert(), PACIFIC).notes == ()


def test_the_same_event_sent_again_is_the_same_read() -> None:
    again = alert(more="<UUID>{plate}-UUID</UUID><isDataRetransmission>true</isDataRetransmission>")
    assert only(alert()).read.source_id == only(again).read.source_id
    assert only(alert()).read.source_id != only(alert(more="<UUID>other</UUID>")).read.source_id
    assert only(alert(more="")).read.source_id == only(alert(more="")).read.source_id


@pytest.mark.parametrize(
    "source", ["00:00:5e:00:53:01/1", "00:00:5e:00:53:01", "192.0.2.7/1", "192.0.2.7"]
)
def test_the_table_finds_the_camera_by_its_addresses(source: str) -> None:
    table = {source: Camera("PIER-1", 337_361_000, -1_182_922_000, None, "CA")}
    read = only(alert(), Settings(cameras=table)).read
    assert (read.camera, read.lat_e7, read.state) == ("PIER-1", 337_361_000, "CA")


def test_a_plate_of_another_country_takes_no_default_state() -> None:
    settings = Settings(state="CA")
    assert (
        only(alert(more="<countryAbbreviation>NON</countryAbbreviation>"), settings).read.state
        == "CA"
    )
    foreign = only(alert(more="<countryAbbreviation>MEX</countryAbbreviation>"), settings)
    assert (foreign.read.state, foreign.notes) == ("", (FOREIGN,))


def test_a_form_brings_the_picture_of_the_scene() -> None:
    parts = [
        ("anpr.xml", "text/xml", alert().encode()),
        ("licensePlatePicture.jpg", "image/pjpeg", b"\xff\xd8\xffplate"),
        ("detectionPicture.jpg", "image/pjpeg", b"\xff\xd8\xffscene"),
    ]
    content = b""
    for name, kind, inner in parts:
        content += (
            f'--boundary\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            f"Content-Type: {kind}\r\nContent-Length: {len(inner)}\r\n\r\n"
        ).encode() + inner + b"\r\n"  # fmt: skip
    content += b"--boundary--\r\n"
    assert FORM.recognises(content)
    (found,) = run(FORM, content, NONE)
    assert isinstance(found, Parsed)
    assert found.picture == b"\xff\xd8\xffscene"
    (without,) = run(FORM, content, Settings(keep_photos=False))
    assert isinstance(without, Parsed)
    assert without.picture is None


SOME = (("TEST001", "20260301T0030000000"), ("TEST002", "20260301T0031000000"))
AT_PIER = Settings(camera="PIER-1", zone=ZoneInfo("America/Los_Angeles"))


def test_a_pulled_list_is_read_with_camera_and_zone() -> None:
    found = run(FORM, pulled(*SOME).encode(), AT_PIER)
    assert plates(found) == ["TEST001", "TEST002"]
    first = found[0]
    assert isinstance(first, Parsed)
    assert (first.read.captured_ms, first.read.camera) == (1_772_353_800_000, "PIER-1")
    for lacking in (NONE, PACIFIC, Settings(camera="PIER-1")):
        assert len(refusals(run(FORM, pulled(*SOME).encode(), lacking))) == 2


@pytest.mark.parametrize(
    ("time", "utc_ms"),
    [
        ("20260301T003000", 1_772_353_800_000),
        ("20260301T083000Z", 1_772_353_800_000),
        ("20260301T163000+0800", 1_772_353_800_000),
        ("2026-03-01T00:30:00", None),
        ("20261301T003000", None),
        ("", None),
        ("\u0662\u0660260301T003000", None),
    ],
)
def test_times_of_a_pulled_list(time: str, utc_ms: int | None) -> None:
    found = run(FORM, pulled(("TEST001", time)).encode(), AT_PIER)
    times = [row.read.captured_ms for row in found if isinstance(row, Parsed)]
    assert times == ([] if utc_ms is None else [utc_ms])


def test_a_prefixed_list_is_the_same() -> None:
    content = prefixed("<?xml version='1.0'?>\n" + pulled(*SOME, space="").split("?>", 1)[1])
    assert plates(run(FORM, content.encode(), AT_PIER)) == ["TEST001", "TEST002"]


def test_what_was_refused_for_want_of_a_setting_is_taken_later() -> None:
    check_retry(FORM, pulled(*SOME).encode(), NONE, AT_PIER)
    check_retry(FORM, alert(time="2026-03-01T00:30:00").encode(), NONE, AT_PIER)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE EventNotificationAlert [<!ENTITY a "TEST666">'
    + "".join(f'<!ENTITY b{n} "&{f"b{n - 1}" if n else "a"};' * 10 + '">' for n in range(9))
    + "]><EventNotificationAlert><eventType>ANPR</eventType><dateTime>2026-03-01T08:30:00Z"
    "</dateTime><macAddress>m</macAddress><ANPR><licensePlate>&{};</licensePlate></ANPR>"
    "</EventNotificationAlert>"
)


@pytest.mark.parametrize(
    "entity",
    ["a", "b8"],
)
def test_entities_are_never_expanded_and_neighbours_are_taken(entity: str) -> None:
    content = alert("TEST001") + BOMB.replace("{}", entity) + alert("TEST002")
    found = run(FORM, content.encode(), NONE)
    assert plates(found) == ["TEST001", "TEST002"]
    assert refusals(found)
    assert "TEST666" not in repr(found)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://192.0.2.1/x"])
def test_nothing_outside_the_document_is_ever_read(target: str) -> None:
    start = f'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "{target}">]>'
    event = alert("&x;").split("\n", 1)[1]
    found = run(FORM, (start + event).encode(), NONE)
    assert plates(found) == []
    assert refusals(found)


def test_a_document_type_is_never_read() -> None:
    typed = '<!DOCTYPE EventNotificationAlert SYSTEM "/dev/full">' + alert("TEST002")
    found = run(FORM, (alert("TEST001") + typed + alert("TEST003")).encode(), NONE)
    assert plates(found) == ["TEST001", "TEST002", "TEST003"]
    inside = alert("TEST002").replace("<ANPR>", '<!DOCTYPE a [<!ENTITY b "c">]><ANPR>')
    found = run(FORM, (alert("TEST001") + inside + alert("TEST003")).encode(), NONE)
    assert plates(found) == ["TEST001", "TEST003"]


TYPES = [
    '<!DOCTYPE a [<!ENTITY b "TEST666">]>',
    '<?xml version="1.0"?><!DOCTYPE EventNotificationAlert [<!ENTITY b "TEST666">]>',
    '<!DOCTYPE a SYSTEM "/dev/full">',
    "<!DOCTYPE a [",
    '<!ENTITY b "TEST666">',
]


@pytest.mark.parametrize("plate", ["TEST002", "&b;"])
@pytest.mark.parametrize("declared", TYPES)
def test_a_document_type_means_nothing_at_any_place_of_a_record(declared: str, plate: str) -> None:
    event = alert(plate)
    for at in range(len(event) + 1):
        content = alert("TEST001") + event[:at] + declared + event[at:] + alert("TEST003")
        found = run(FORM, content.encode(), NONE)
        taken = plates(found)
        assert (taken[0], taken[-1]) == ("TEST001", "TEST003")
        assert "TEST666" not in "".join(taken)
        if plate == "&b;":
            assert taken == ["TEST001", "TEST003"]
            assert refusals(found)


def test_a_record_whose_head_is_missing_is_accounted_for() -> None:
    headless = alert("TEST002").split("<ANPR>")[1]
    for content in (headless, alert("TEST001") + headless, headless + alert("TEST001")):
        found = run(FORM, content.encode(), NONE)
        assert plates(found) == (["TEST001"] if "TEST001" in content else [])
        assert len(refusals(found)) == 1


@pytest.mark.parametrize("stray", ["<!ENTITY a>", "<!DOCTYPE a [", "]]>", "<![CDATA[", "<!--"])
def test_stray_markup_before_a_record_costs_no_neighbour(stray: str) -> None:
    found = run(FORM, (alert("TEST001") + stray + alert("TEST002")).encode(), NONE)
    assert plates(found) == ["TEST001", "TEST002"]


def test_a_record_without_end_is_bounded_and_its_neighbours_are_taken() -> None:
    huge = "<EventNotificationAlert><a>" + "x" * (9 << 20) + "</a>"
    found = run(FORM, (alert("TEST001") + huge + alert("TEST002")).encode(), NONE)
    assert plates(found) == ["TEST001", "TEST002"]
    assert all(len(row.content) <= MAX_CONTENT for row in found if hasattr(row, "content"))


def test_depth_without_end_is_no_crash() -> None:
    deep = "<EventNotificationAlert>" + "<a>" * 200_000 + "</a>" * 200_000
    content = deep + "</EventNotificationAlert>" + alert("TEST002")
    assert plates(run(FORM, content.encode(), NONE)) == ["TEST002"]


@pytest.mark.parametrize("encoding", ["gb2312", "utf-7", "no-such-one", "utf-16"])
def test_an_odd_encoding_costs_its_own_record(encoding: str) -> None:
    odd = alert("TEST002").replace("UTF-8", encoding)
    found = run(FORM, (alert("TEST001") + odd + alert("TEST003")).encode(), NONE)
    assert [plate for plate in plates(found) if plate != "TEST002"] == ["TEST001", "TEST003"]


EVENTS = [alert(f"TEST{n:03}").encode() for n in (1, 2, 3)]
LIST = [
    f"<Plate><captureTime>20260301T003{n}00</captureTime><plateNumber>TEST{n:03}</plateNumber>"
    f"<picName>p{n}</picName></Plate>".encode()
    for n in (1, 2, 3)
]


@given(noise)
@hypothesis_settings(deadline=None)
def test_noise_never_crashes(content: bytes) -> None:
    assert plates(run(FORM, content, AT_PIER)) == []
    assert plates(run(FORM, b"<EventNotificationAlert>" + content, AT_PIER)) == []
    assert plates(run(FORM, b"<Plates><Plate>" + content, AT_PIER)) == []


@given(st.data(), st.sampled_from([EVENTS, LIST]), st.integers(0, 2), st.booleans())
@hypothesis_settings(deadline=None)
def test_a_cut_or_spliced_record_never_loses_its_neighbours(
    data: st.DataObject, events: list[bytes], place: int, splice: bool
) -> None:
    damaged = data.draw((spliced if splice else cut)(events[place]))
    check_neighbours(FORM, AT_PIER, events, place, damaged)


def test_events_as_cameras_write_them() -> None:
    push, pull = SHARED / "hikvision_isapi_anpr.xml", SHARED / "hikvision_plates_pull.xml"
    if not push.exists() or not pull.exists():
        pytest.skip("shared data not present: hikvision_isapi_anpr.xml, hikvision_plates_pull.xml")
    (found,) = run(FORM, push.read_bytes(), NONE)
    assert isinstance(found, Parsed)
    assert (found.read.plate, found.read.captured_ms) == ("PECT600", 1_705_634_239_000)
    assert found.read.lat_e7 is None
    assert len(refusals(run(FORM, pull.read_bytes(), NONE))) == 1
    (taken,) = run(FORM, pull.read_bytes(), Settings(camera="C", zone=ZoneInfo("Europe/London")))
    assert isinstance(taken, Parsed)
    assert taken.read.captured_ms == 1_587_741_387_000
