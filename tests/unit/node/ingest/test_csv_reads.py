"""Reads from CSV: zones, places, photos, and an account of every row."""

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from accord.errors import InputError
from node.ingest import ingest
from node.ingest.csv_reads import CsvReads
from node.ingest.mapping import Mapping, load_mapping
from node.ingest.report import IngestReport, Parsed, Record, Rejected
from node.ingest.settings import Settings
from node.photos import Photos
from node.store.base import ReadStore
from tests.stores import SQLITE
from tests.unit.node.ingest.damage import (
    check_neighbours,
    check_retry,
    cut,
    noise,
    plates,
    run,
    spliced,
)

MAPPING = """
format = "accord-mapping/1"
plate = "plate"
time = "when"
time_format = "%m/%d/%Y - %H:%M:%S"
zone = "America/Los_Angeles"
camera = "camera"
latitude = "lat"
longitude = "lon"
nulls = ["NA", ""]
state_is = "WA"
"""
HEADER = "plate,when,lat,lon,camera\n"
GOOD = "TEST001,10/07/2021 - 16:30:51,47.8128394,-122.2948006,CAR-01\n"
MakeMapping = Callable[[str], Mapping]


@pytest.fixture
def mapping(tmp_path: Path) -> MakeMapping:
    def load(text: str) -> Mapping:
        path = tmp_path / "mapping.toml"
        path.write_text(text)
        return load_mapping(path)

    return load


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return Photos(tmp_path / "data" / "photos")


def parse(content: bytes, mapping: Mapping, folder: Path | None = None) -> Iterator[Record]:
    settings = Settings(mapping=mapping, photo_folder=folder)
    return CsvReads().parse(io.BytesIO(content), settings)


def rows(text: str, mapping: Mapping, folder: Path | None = None) -> list[Record]:
    return list(parse(text.encode(), mapping, folder))


def only(text: str, mapping: Mapping, folder: Path | None = None) -> Parsed:
    (row,) = rows(HEADER + text, mapping, folder)
    assert isinstance(row, Parsed)
    return row


def reason(text: str, mapping: Mapping) -> str:
    (row,) = rows(HEADER + text, mapping)
    assert isinstance(row, Rejected)
    return row.reason


def test_a_row_becomes_a_read(mapping: MakeMapping) -> None:
    read = only(GOOD, mapping(MAPPING)).read
    assert (read.plate, read.raw_plate, read.state, read.camera) == (
        "TEST001", "TEST001", "WA", "CAR-01",
    )  # fmt: skip
    assert read.captured_ms == 1_633_649_451_000
    assert (read.lat_e7, read.lon_e7) == (478_128_394, -1_222_948_006)
    assert len(read.source_id) == 16


def test_null_texts_give_a_read_without_a_place(mapping: MakeMapping) -> None:
    read = only("TEST001,10/07/2021 - 16:30:51,NA,NA,CAR-01\n", mapping(MAPPING)).read
    assert (read.lat_e7, read.lon_e7) == (None, None)


@pytest.mark.parametrize("place", ["0,0", "91,10", "10,181", "nan,1", "inf,1", "x,1"])
def test_an_impossible_place_is_left_out_and_noted(mapping: MakeMapping, place: str) -> None:
    parsed = only(f"TEST001,10/07/2021 - 16:30:51,{place},CAR-01\n", mapping(MAPPING))
    assert parsed.read.lat_e7 is None
    assert len(parsed.notes) == 1


@pytest.mark.parametrize(
    ("local", "utc_ms"),
    [
        # Winter, summer, and the second before the clocks go forward and back.
        ("01/15/2021 - 12:00:00", 1_610_740_800_000),
        ("07/15/2021 - 12:00:00", 1_626_375_600_000),
        ("03/14/2021 - 01:59:59", 1_615_715_999_000),
        ("03/14/2021 - 03:00:00", 1_615_716_000_000),
    ],
)
def test_local_times_become_utc(mapping: MakeMapping, local: str, utc_ms: int) -> None:
    parsed = only(f"TEST001,{local},NA,NA,CAR-01\n", mapping(MAPPING))
    assert parsed.read.captured_ms == utc_ms
    assert parsed.notes == ()


def test_a_repeated_hour_is_its_first_pass_and_noted(mapping: MakeMapping) -> None:
    parsed = only("TEST001,11/07/2021 - 01:30:00,NA,NA,CAR-01\n", mapping(MAPPING))
    assert parsed.read.captured_ms == 1_636_273_800_000
    assert len(parsed.notes) == 1
    assert "repeated" in parsed.notes[0]


def test_a_skipped_hour_is_rejected(mapping: MakeMapping) -> None:
    text = "TEST001,03/14/2021 - 02:30:00,NA,NA,CAR-01\n"
    assert "skipped" in reason(text, mapping(MAPPING))


def test_an_offset_in_the_text_needs_no_zone(mapping: MakeMapping) -> None:
    text = MAPPING.replace('zone = "America/Los_Angeles"\n', "").replace(
        "%m/%d/%Y - %H:%M:%S", "iso"
    )
    offset = only("TEST001,2021-10-07T16:30:51.250-07:00,NA,NA,C\n", mapping(text))
    assert offset.read.captured_ms == 1_633_649_451_250
    naive = "TEST001,2021-10-07T16:30:51,NA,NA,C\n"
    assert "zone" in reason(naive, mapping(text))


@pytest.mark.parametrize(
    "plate",
    ["TEST\u0421", "\uff34EST", "TEST\u0661", "A" * 13, "A_B", "A'--", "\u202eTSET", "A\0B"],
)
def test_a_bad_plate_is_rejected_without_being_repeated(mapping: MakeMapping, plate: str) -> None:
    said = reason(f"{plate},10/07/2021 - 16:30:51,NA,NA,CAR-01\n", mapping(MAPPING))
    assert "plate" in said
    assert plate not in said


@pytest.mark.parametrize(
    "text",
    [
        "TEST001,not a time,NA,NA,CAR-01\n",
        "TEST001,10/07/0021 - 16:30:51,NA,NA,CAR-01\n",
        "TEST001,10/07/2021 - 16:30:51,NA,NA,\n",
        ",10/07/2021 - 16:30:51,NA,NA,CAR-01\n",
        "TEST001\n",
        'TEST001,"10/07/2021 - 16:30:51,NA,NA,CAR-01\n',
        "TEST001,10/07/2021 - 16:30:51,NA,NA," + "C" * 20_000 + "\n",
    ],
)
def test_a_bad_row_never_loses_its_neighbours(mapping: MakeMapping, text: str) -> None:
    after = GOOD.replace("TEST001", "TEST002")
    found = rows(HEADER + GOOD + text + after + after.replace("002", "003"), mapping(MAPPING))
    taken = [row.read.plate for row in found if isinstance(row, Parsed)]
    assert taken == ["TEST001", "TEST002", "TEST003"]
    assert [row.row for row in found if isinstance(row, Rejected)] == [2]


def test_bytes_that_are_not_utf8_cost_their_own_row_only(mapping: MakeMapping) -> None:
    content = HEADER.encode() + b"TEST\xff01,x,x,x,x\n" + GOOD.encode()
    found = list(parse(content, mapping(MAPPING)))
    assert [type(row) for row in found] == [Rejected, Parsed]


def test_mapping_errors_name_the_key(mapping: MakeMapping, tmp_path: Path) -> None:
    for wrong, words in [
        (MAPPING + 'plat = "x"\n', "plat"),
        (MAPPING.replace('plate = "plate"\n', ""), "plate"),
        (MAPPING.replace("America/Los_Angeles", "Mars/Olympus"), "zone"),
        (MAPPING.replace("America/Los_Angeles", "../../etc/passwd"), "zone"),
    ]:
        with pytest.raises(InputError) as error:
            mapping(wrong)
        assert words in str(error.value)
        assert "\n" not in str(error.value)


def test_a_column_that_is_not_there_is_named(mapping: MakeMapping) -> None:
    with pytest.raises(InputError, match="camera"):
        rows("plate,when,lat,lon\n", mapping(MAPPING))


@pytest.mark.parametrize(
    "first", ["SECRET1,2026-03-01T08:30:00Z,1,2,C1", "plate,SECRET1", "SECRET1"]
)
def test_a_file_without_a_header_tells_nothing_of_its_rows(
    mapping: MakeMapping, first: str
) -> None:
    with pytest.raises(InputError, match="has no column") as error:
        rows(first + "\n", mapping(MAPPING))
    assert not any(word in str(error.value) for word in ("SECRET1", "C1", "08:30"))
    fields = first.count(",") + 1
    assert str(error.value).endswith(f"it has {fields} field{'s' * (fields > 1)}")


def test_a_column_that_is_there_twice_is_never_guessed(mapping: MakeMapping) -> None:
    with pytest.raises(InputError, match="two columns 'plate'"):
        rows("plate,when,lat,lon,camera,plate\n", mapping(MAPPING))


def test_a_time_without_any_zone_is_an_error_before_the_first_row(mapping: MakeMapping) -> None:
    text = MAPPING.replace('zone = "America/Los_Angeles"\n', "")
    with pytest.raises(InputError, match="zone: is missing"):
        rows(HEADER + GOOD, mapping(text))
    pacific = Settings(mapping=mapping(text), zone=ZoneInfo("America/Los_Angeles"))
    (row,) = CsvReads().parse(io.BytesIO((HEADER + GOOD).encode()), pacific)
    assert isinstance(row, Parsed)
    assert row.read.captured_ms == 1_633_649_451_000


def test_what_was_refused_is_taken_later_from_what_was_kept(mapping: MakeMapping) -> None:
    other = Settings(mapping=mapping(MAPPING.replace("%m/%d/%Y", "%d.%m.%Y")))
    check_retry(CsvReads(), (HEADER + GOOD).encode(), other, Settings(mapping=mapping(MAPPING)))


TAKEN = Mapping(
    format="accord-mapping/1", plate="plate", time="when", time_format="iso", camera="camera",
)  # fmt: skip
LINES = [f"TEST{n:03},2026-03-01T08:30:0{n}Z,PIER-1".encode() for n in (1, 2, 3)]
TOP = b"plate,when,camera\n"


class _Headed(CsvReads):
    """The same, of documents whose header is left out."""

    def parse(self, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
        return super().parse(io.BytesIO(TOP + stream.read()), settings)


@given(noise)
@hypothesis_settings(deadline=None)
def test_noise_never_crashes(content: bytes) -> None:
    assert plates(run(_Headed(), content, Settings(mapping=TAKEN))) == []
    with suppress(InputError):
        assert plates(run(CsvReads(), content, Settings(mapping=TAKEN))) == []


@given(st.data(), st.integers(0, 2), st.booleans())
@hypothesis_settings(deadline=None)
def test_a_cut_or_spliced_row_never_loses_its_neighbours(
    data: st.DataObject, place: int, splice: bool
) -> None:
    damaged = data.draw((spliced if splice else cut)(LINES[place])).replace(b"\n", b"")
    check_neighbours(_Headed(), Settings(mapping=TAKEN), LINES, place, damaged)


PHOTO = MAPPING + 'photo = "photo"\n'
PHOTO_HEADER = "plate,when,lat,lon,camera,photo\n"


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (9, 9, 9)).save(buffer, "PNG")
    return buffer.getvalue()


def with_photo(name: str) -> str:
    return PHOTO_HEADER + GOOD.replace("\n", f",{name}\n")


def test_a_photo_is_found_beside_the_csv(
    mapping: MakeMapping, tmp_path: Path, store: ReadStore, photos: Photos
) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "a.png").write_bytes(picture())
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    text = with_photo("sub/a.png") + GOOD.replace("001", "002").replace("\n", ",bad.png\n")
    records = rows(text, mapping(PHOTO), tmp_path / "in")
    report = ingest(records, store, photos)
    assert (report.taken, report.notes.total()) == (2, 1)
    assert len(list((tmp_path / "data" / "photos").rglob("*.jpg"))) == 1


def test_masked_copies_are_made_with_the_photo(
    mapping: MakeMapping, tmp_path: Path, store: ReadStore, photos: Photos
) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    text = with_photo("a.png") + GOOD.replace("CAR-01", "CAR-02").replace("\n", ",a.png\n")
    records = parse(text.encode(), mapping(PHOTO), tmp_path)
    ingest(records, store, photos, bands={"CAR-01": (0.25, 0.0), "*": (0.0, 0.5)})
    names = sorted(file.name[64:] for file in (tmp_path / "data" / "photos").rglob("*.jpg"))
    assert names == [".000-500.jpg", ".250-000.jpg", ".jpg"]


@pytest.mark.parametrize(
    "name", ["../secret.png", "sub/../../secret.png", "{root}/secret.png", "link.png", "dir/x.png"]
)
def test_a_photo_beyond_the_folder_is_never_opened(
    mapping: MakeMapping, tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret.png").write_bytes(picture())
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.png").write_bytes(picture())
    (folder / "dir").symlink_to(tmp_path / "elsewhere")
    for row in rows(with_photo(name.format(root=tmp_path)), mapping(PHOTO), folder):
        assert isinstance(row, Rejected) or (isinstance(row, Parsed) and row.picture is None)


def test_every_row_is_accounted_for_and_again_is_all_duplicates(
    mapping: MakeMapping, store: ReadStore, photos: Photos, tmp_path: Path
) -> None:
    lines = [GOOD, GOOD, GOOD.replace("TEST001", "T\u0415ST"), GOOD.replace("51", "52"), "x\n"]

    def take() -> IngestReport:
        records = parse((HEADER + "".join(lines)).encode(), mapping(MAPPING))
        return ingest(records, store, photos)

    first = take()
    assert (first.taken, first.duplicates, len(first.rejected)) == (2, 1, 2)
    assert first.seen == len(lines)
    again = take()
    assert (again.taken, again.duplicates, len(again.rejected)) == (0, 3, 2)
    first.write_rejected(tmp_path / "not-taken.csv")
    written = tmp_path / "not-taken.csv"
    assert written.stat().st_mode & 0o777 == 0o600
    assert [line.split(",")[0] for line in written.read_text().splitlines()] == ["row", "3", "5"]
    assert "ST" not in written.read_text().replace("UTF", "")
    with pytest.raises(InputError, match="name a new file"):
        first.write_rejected(written)


@SQLITE  # what it is about is the file
def test_a_real_week_is_accounted_for_to_the_last_row(
    mapping: MakeMapping, store: ReadStore, photos: Photos
) -> None:
    path = Path(__file__).parents[5] / "shared" / "data" / "seattle_week_2021-10.csv.gz"
    if not path.exists():
        pytest.skip("shared data not present: seattle_week_2021-10.csv.gz")
    content = gzip.decompress(path.read_bytes())
    text = MAPPING.replace('"when"', '"captured_local"').replace('"lat"', '"latitude"')
    records = parse(content, mapping(text.replace('"lon"', '"longitude"')))
    report = ingest(records, store, photos)
    assert report.seen == content.count(b"\n") - 1 == 93_490
    assert report.taken == store.counts().reads
    assert report.taken + report.duplicates == 93_490
    # What a plain script finds in the file.
    lines = content.decode().splitlines()[1:]
    distinct = {tuple(line.split(",")[:5]) for line in lines}
    assert report.taken == len(distinct)
    assert store.counts().plates == len({line.split(",")[0] for line in lines})
