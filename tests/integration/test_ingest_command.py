"""``accord-node ingest`` as a person runs it: formats, options, standard input, accounts."""

import base64
import io
import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from accord.agreements.law.updates import sign_update
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.testing import FederationSimulator
from node.ingest.formats import formats
from tests.programs import program

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
EVENT = {
    "type": "lpr",
    "id": "1772353800.25-abc1",
    "plate": "test001",
    "score": 0.95,
    "camera": "pier_cam",
    "timestamp": 1_772_353_800.75,
}
CAMERAS = """
format = "accord-cameras/1"
[[cameras]]
source = "pier_cam"
name = "PIER-1"
latitude = 33.7361
longitude = -118.2922
"""
UPDATE = """\
format = "accord-law/1"
id = "city-news"
number = 1
title = "News"
applies_to = "CA"
[[rules]]
id = "photos"
kind = "retention"
state = "enforced"
binds = "owner"
citation = "Example Act, section 7"
confidence = "high"
from = 2026-01-01
says = "Photos are kept for a day."
keep = "1 day"
covers = ["photos"]
"""


def ingest(city: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [program("accord-node"), "ingest", *arguments]
    if arguments[0] != "formats":
        command += ["--config", str(city / "node.toml")]
    return subprocess.run(
        command,
        input=given,
        capture_output=True,
        timeout=60,
        check=False,
        cwd=city,
        env=os.environ | {"GRPC_VERBOSITY": "NONE"},
    )


def reads(city: Path) -> list[tuple[object, ...]]:
    """What the store of the city holds: plate, text, state, camera, latitude, photo."""
    with closing(sqlite3.connect(city / "data" / "reads.db")) as database:
        columns = "plate, raw_plate, state, camera, lat_e7, photo"
        return list(database.execute(f"SELECT {columns} FROM reads ORDER BY row_id"))


def test_formats_are_listed(city: Path) -> None:
    done = ingest(city, "formats")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.decode().splitlines()] == list(formats())


def test_standard_input_is_recognised_and_the_options_are_used(city: Path) -> None:
    (city / "cameras.toml").write_text(CAMERAS)
    text = json.dumps(EVENT).encode()
    done = ingest(city, "-", "--cameras", "cameras.toml", "--state", "CA", given=text)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"1 rows: 1 taken, 0 known already, 0 not taken, 0 no reads." in done.stdout
    assert reads(city) == [("TEST001", "test001", "CA", "PIER-1", 337_361_000, "")]
    again = ingest(city, "file", "-", "--format", "frigate", given=text)
    assert b"0 taken, 1 known already" in again.stdout


def test_zone_camera_and_time_are_given_for_records_without(city: Path) -> None:
    pulled = (
        b"<Plates><Plate><captureTime>20260301T0030000000</captureTime>"
        b"<plateNumber>TEST002</plateNumber></Plate></Plates>"
    )
    bare = ingest(city, "-", given=pulled)
    assert b"1 not taken" in bare.stdout
    assert b"TEST002" not in bare.stdout + bare.stderr
    zone = ("--zone", "America/Los_Angeles", "--camera", "PIER-1")
    assert b"1 taken" in ingest(city, "-", *zone, given=pulled).stdout
    snapshot = json.dumps({"results": [{"plate": "test003", "box": {"xmin": 1}}]}).encode()
    assert b"1 not taken" in ingest(city, "-", *zone, given=snapshot).stdout
    timed = ingest(city, "-", *zone, "--at", "2026-03-01T08:30Z", given=snapshot)
    assert b"1 taken" in timed.stdout
    assert [row[0] for row in reads(city)] == ["TEST002", "TEST003"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--format", "alpr"), "use one of csv, json, openalpr"),
        (("--zone", "Mars/Olympus"), "is not a zone"),
        (("--state", "California"), "is not a state"),
        (("--at", "2026-03-01T08:30"), "is not a time with a zone"),
        (("--cameras", "none.toml"), "can't be read"),
        (("--format", "csv"), "mapping: is missing"),
        ((), "is not recognised from the content; say which with --format: csv, json"),
    ],
)
def test_a_wrong_option_is_one_line(city: Path, arguments: tuple[str, ...], words: str) -> None:
    done = ingest(city, "-", *arguments, given=b"{}")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_a_file_with_the_name_of_a_command(city: Path) -> None:
    (city / "formats").write_text(json.dumps(EVENT))
    assert b"1 taken" in ingest(city, "./formats").stdout


def with_picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG")
    event = {
        "data_type": "alpr_group",
        "best_plate_number": "TEST001",
        "epoch_start": 1_772_353_800_000,
        "camera_id": 1,
        "overview_jpeg": base64.b64encode(buffer.getvalue()).decode(),
    }
    return json.dumps(event).encode()


@pytest.mark.parametrize(("days", "photos"), [(30, 1), (0, 0)])
def test_pictures_are_kept_only_where_the_policy_keeps_photos(
    city: Path, days: int, photos: int
) -> None:
    policy = city / "policy.toml"
    text = policy.read_text()
    assert "photos_days = 365" in text
    policy.write_text(text.replace("photos_days = 365", f"photos_days = {days}"))
    done = ingest(city, "-", given=with_picture())
    assert b"1 taken" in done.stdout
    assert (b"the policy keeps none" in done.stdout) == (not photos)
    assert len(list((city / "data" / "photos").rglob("*.jpg"))) == photos
    assert bool(reads(city)[0][-1]) == bool(photos)


@pytest.mark.parametrize("signer", ["city", "county"])
def test_what_is_kept_goes_by_the_law_too_which_our_own_counsel_must_have_signed(
    city: Path, built: FederationSimulator, signer: str
) -> None:
    folder = city / "federation" / "law"
    folder.mkdir()
    key = PrivateKey.load(built.members[signer].files.key(KeyRole.COUNSEL))
    (folder / "city-news.toml").write_text(UPDATE)
    (folder / "city-news.sig").write_bytes(sign_update(UPDATE.encode(), "x", key))
    done = ingest(city, "-", given=with_picture())
    if signer == "city":
        assert (done.returncode, done.stderr) == (0, b"")
        assert bool(reads(city)[0][-1])
    else:
        assert done.returncode == 2
        assert done.stderr.count(b"\n") == 1
        assert b"city-news" in done.stderr
        assert not (city / "data" / "reads.db").exists()


@pytest.mark.parametrize(
    ("sample", "options"),
    [
        ("openalpr_alpr_group_v3.json", ()),
        ("hikvision_isapi_anpr.xml", ()),
        ("axis_lpv_event.json", ()),
        ("hikvision_plates_pull.xml", ("--camera", "GATE", "--zone", "Europe/London")),
        ("platerecognizer_snapshot.json", ("--camera", "GATE", "--at", "2026-03-01T08:30Z")),
    ],
)
def test_samples_of_real_sources_go_in(city: Path, sample: str, options: tuple[str, ...]) -> None:
    if not SAMPLES.exists():
        pytest.skip("shared data not present: samples")
    policy = city / "policy.toml"  # they are years old
    policy.write_text(policy.read_text().replace("reads_days = 730", "reads_days = 9000"))
    done = ingest(city, str(SAMPLES / sample), *options)
    assert b"1 rows: 1 taken, 0 known already, 0 not taken, 0 no reads." in done.stdout
    if options:
        assert (
            b"1 rows: 0 taken, 0 known already, 1 not taken"
            in ingest(city, str(SAMPLES / sample)).stdout
        )


def test_a_record_kept_in_part_or_not_at_all_is_told_by_the_status(city: Path) -> None:
    (city / "m.toml").write_text(
        'format = "accord-mapping/1"\nplate = "p"\ntime = "t"\ntime_format = "iso"\ncamera = "c"\n'
    )
    options = ("--mapping", "m.toml", "--source", "week")
    row = "TEST{:05},2026-03-01T08:00:00,{}\n"
    short = "p,t,c\n" + row.format(1, "PIER-1")
    (city / "short.csv").write_text(short)
    done = ingest(city, "short.csv", *options)
    assert (done.returncode, done.stderr) == (0, b"")  # all of it waits

    (city / "long.csv").write_text(short + row.format(2, "P" * 17_000))
    done = ingest(city, "long.csv", *options, "--report", "why.csv")
    assert done.returncode == 4
    assert done.stderr.splitlines() == [
        b"error: long.csv: 1 records are too long to keep whole; "
        b"keep the file, mend them, and take it in again"
    ]
    assert b"2 rows: 0 taken, 0 known already, 2 not taken" in done.stdout
    assert (city / "why.csv").read_text().count("\n") == 3

    with closing(sqlite3.connect(city / "data" / "reads.db")) as database, database:
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 19998) "
            "INSERT INTO dead_letters (digest, source, format, reason, arrived_ms, content) "
            "SELECT CAST(i AS BLOB), 'week', 'csv', 'why', 0, x'00' FROM n"
        )
    rows = "".join(row.format(n, "PIER-1") for n in range(3, 6))
    done = ingest(city, "-", *options, given=("p,t,c\n" + rows).encode())
    assert done.returncode == 4
    assert done.stderr.splitlines() == [
        b"error: standard input: 3 records find no room among the dead letters; "
        b"ingest dead says why they wait: mend that, ingest retry, and take it in again"
    ]
    assert b"TEST" not in done.stdout + done.stderr
