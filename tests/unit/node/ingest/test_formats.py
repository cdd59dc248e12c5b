"""Which formats there are, which one a document is in, and formats of a site's own."""

import io
import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accord.errors import InputError
from node.ingest.formats import Format, choose, formats, named, recognised, records
from node.ingest.mapping import load_mapping
from node.ingest.settings import Settings, load_cameras

SHARED = Path(__file__).parents[5] / "shared"
DOCS = Path(__file__).parents[4] / "docs" / "sources.md"
GROUP = {"data_type": "alpr_group", "best_plate_number": "TEST001"}


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"plate,state,when\nTEST001,CA,x\n", "csv"),
        (b"\xef\xbb\xbfplate,state\r\n", "csv"),
        (json.dumps(GROUP).encode(), "openalpr"),
        (b'\n[\n {"data_type": "alpr_results", "results": [], "camera_id": 1}]', "openalpr"),
        (b'{"results": [{"box": {"xmin": 1}}]}', "platerecognizer"),
        (b'{"hook": {"event": "x"}, "data": {}}', "platerecognizer"),
        (b'--b\r\nContent-Disposition: form-data; name="json"\r\n\r\n'
         b'{"hook": {"event": "x"}, "data": {}}', "platerecognizer"),
        (b"<?xml version='1.0'?><hik:EventNotificationAlert xmlns:hik='x'>", "hikvision"),
        (b"<Plates><Plate>", "hikvision"),
        (b'{"carState": "new"}', "axis"),
        (b'{"type": "lpr", "plate": "TEST001"}', "frigate"),
        (b'{"type":"end","before":{},"after":{}}', "frigate"),
    ],
)  # fmt: skip
def test_a_document_is_recognised_by_its_start(start: bytes, name: str) -> None:
    form, stream = choose("", io.BytesIO(start))
    assert form.name == name
    assert stream.read() == start


@pytest.mark.parametrize(
    "start", [b"", b"hello", b"{}", b"[1, 2, 3]", b"<xml/>", b"\x00\xff,\x00", b"--b\r\n\r\nx,y"]
)
def test_what_no_format_knows_is_an_error_that_lists_them(start: bytes) -> None:
    with pytest.raises(InputError) as error:
        recognised(start)
    for name in formats():
        assert name in str(error.value)
    assert "--format" in str(error.value)


def test_what_two_formats_know_is_an_error_that_names_both() -> None:
    both = json.dumps({"type": "lpr", "carState": "lost"}).encode()
    with pytest.raises(InputError, match="axis or frigate"):
        recognised(both)
    assert named("axis").name == "axis"


def test_an_unknown_name_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(InputError, match="csv, json, openalpr"):
        named("alpr")


def test_a_name_wins_over_the_content() -> None:
    form, _ = choose("csv", io.BytesIO(json.dumps(GROUP).encode()))
    assert form.name == "csv"


class _Slow(io.RawIOBase):
    """A pipe whose writer gives a byte at a time."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        chunk, self._content = self._content[:1], self._content[1:]
        buffer[: len(chunk)] = chunk
        return len(chunk)


def test_a_slow_pipe_is_recognised_and_nothing_of_it_is_lost() -> None:
    content = json.dumps(GROUP | {"x": "y" * 3000}).encode()
    for pipe in (io.BufferedReader(_Slow(content)), _Slow(content)):
        form, stream = choose("", pipe)  # type: ignore[arg-type]
        assert (form.name, stream.read()) == ("openalpr", content)


def test_every_built_in_format_says_what_it_is() -> None:
    for name, form in formats().items():
        assert isinstance(form, Format)
        assert form.name == name
        assert form.about


SAMPLES = {
    "openalpr_alpr_group_v3.json": "openalpr",
    "platerecognizer_snapshot.json": "platerecognizer",
    "hikvision_isapi_anpr.xml": "hikvision",
    "hikvision_plates_pull.xml": "hikvision",
    "axis_lpv_event.json": "axis",
}


def test_samples_of_real_sources_are_recognised() -> None:
    folder = SHARED / "samples"
    if not folder.exists():
        pytest.skip("shared data not present: samples")
    found = {path.name: recognised(path.read_bytes()).name for path in folder.iterdir()}
    assert found == SAMPLES


Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a package of one module as pip would: the module and its entry points."""
    names: list[str] = []

    def put(module: str, points: str) -> None:
        (tmp_path / "our_cameras.py").write_text(module)
        info = tmp_path / "our_cameras-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-cameras\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)
        names.append("our_cameras")
        formats.cache_clear()

    monkeypatch.syspath_prepend(str(tmp_path))
    yield put
    for name in names:
        sys.modules.pop(name, None)
    formats.cache_clear()


POINTS = "[accord.formats]\nours = our_cameras:Ours\n"
OURS = """
class Ours:
    name = "{name}"
    about = "ours"

    def recognises(self, head):
        return False
"""
PARSE = "\n    def parse(self, stream, settings):\n        return iter(())\n"


def test_a_package_adds_its_format(install: Install) -> None:
    install(OURS.format(name="ours") + PARSE, POINTS)
    assert named("ours").about == "ours"
    assert "csv" in formats()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (OURS.format(name="csv") + PARSE, "taken"),
        (OURS.format(name="ours"), "is not a format"),
        ("raise RuntimeError('secret')", "can't be loaded"),
        ("", "can't be loaded"),
        ("def Ours(: pass", "can't be loaded"),
    ],
)
def test_a_package_that_is_no_format_is_named(install: Install, module: str, words: str) -> None:
    install(module, POINTS)
    with pytest.raises(InputError) as error:
        formats()
    assert words in str(error.value)
    assert "our_cameras" in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["recognises", "parse"])
def test_a_package_that_fails_is_named_and_its_words_are_not_shown(
    install: Install, method: str
) -> None:
    broken = {
        "recognises": OURS.replace("return False", "raise KeyError('TEST001')") + PARSE,
        "parse": OURS + PARSE.replace("return iter(())", "raise KeyError('TEST001')"),
    }
    install(broken[method].format(name="ours"), POINTS)
    ours = named("ours")
    with pytest.raises(InputError) as error:
        recognised(b"{}") if method == "recognises" else list(
            records(ours, io.BytesIO(b"{}"), Settings())
        )
    assert "ours" in str(error.value)
    assert "KeyError" in str(error.value)
    assert "TEST001" not in str(error.value)


class _Torn(io.RawIOBase):
    """A disk that gives a part and then fails."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        raise OSError(5, "Input/output error")


def test_a_stream_that_fails_is_told_in_one_line() -> None:
    with pytest.raises(InputError, match="Input/output error"):
        list(records(named("openalpr"), io.BufferedReader(_Torn()), Settings()))


def fenced(kind: str) -> list[str]:
    """Return the blocks of that kind in docs/sources.md."""
    parts = DOCS.read_text().split(f"```{kind}\n")[1:]
    return [part.split("```", 1)[0] for part in parts]


def test_the_example_of_the_documentation_is_a_format(install: Install) -> None:
    (module,) = fenced("python")
    points = next(block for text in fenced("toml") if "project" in (block := tomllib.loads(text)))[
        "project"
    ]["entry-points"]["accord.formats"]
    lines = "\n".join(f"{name} = {value}" for name, value in points.items())
    install(module, f"[accord.formats]\n{lines}\n")
    content = (
        b"GATE|PIER-1|1772353800|TEST001|CA\n"
        b"GATE|PIER-1|soon|TEST002|CA\n"
        b"PING\n"
        b"GATE|PIER-1|1772353801|T\xd0\x95ST|CA\n"
        b"GATE|PIER-1|1772353802|test004|NV\n"
    )
    form, stream = choose("", io.BytesIO(content))
    assert form.name == "gatekeeper"
    found = list(form.parse(stream, Settings()))
    assert [type(row).__name__ for row in found] == [
        "Parsed", "Rejected", "Passed", "Rejected", "Parsed",
    ]  # fmt: skip
    assert [row.read.plate for row in found if hasattr(row, "read")] == ["TEST001", "TEST004"]


def test_mappings_and_tables_of_the_documentation_are_read(tmp_path: Path) -> None:
    loaders = {"accord-mapping/1": load_mapping, "accord-cameras/1": load_cameras}
    seen = set()
    for number, text in enumerate(fenced("toml")):
        for form, loader in loaders.items():
            if form in text:
                path = tmp_path / f"{number}.toml"
                path.write_text(text)
                assert loader(path)  # type: ignore[operator]
                seen.add(form)
    assert seen == set(loaders)
