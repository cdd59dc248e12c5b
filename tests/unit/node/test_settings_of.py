"""What a source's section of node.toml lacks is told at the start, in its own words."""

from pathlib import Path

import pytest

from accord.errors import InputError
from node.ways.config import FolderSource, MqttSource, Source, SqlSource, WebhookSource
from node.ways.intake import settings_of

PLACE = 'format = "accord-mapping/1"\nplate = "plate"\n'
LOCAL = PLACE + 'time = "seen"\ntime_format = "%Y-%m-%d %H:%M:%S"\ncamera = "camera"\n'
ISO = PLACE + 'time = "seen"\ntime_format = "iso"\n'
WHOLE = LOCAL + 'zone = "America/Los_Angeles"\nrecord = "AutoVu"\n'


def folder(form: str, mapping: str = "", **more: str) -> Source:
    return FolderSource(
        name="pier", way="folder", folder="in", format=form, mapping=mapping, **more
    )


def table(mapping: str) -> Source:
    return SqlSource(
        name="pier", way="sql", url="u", table="reads", watermark="id", mapping=mapping
    )


@pytest.mark.parametrize("form", ["csv", "json", "autovu"])
def test_a_format_by_mapping_without_one_stops_the_start(tmp_path: Path, form: str) -> None:
    with pytest.raises(InputError) as raised:
        settings_of(folder(form), tmp_path)
    said = str(raised.value)
    assert said.startswith("source pier: mapping: is missing; ")
    assert said.endswith('needs mapping = "..." in its section of node.toml')
    (tmp_path / "m.toml").write_text(WHOLE)
    assert settings_of(folder(form, "m.toml"), tmp_path).mapping is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LOCAL, 'source pier: zone: is missing; .* or by zone = "..." in node.toml'),
        (ISO + 'zone = "UTC"\n', 'pier: camera: is missing; .* or write camera = "..." in node'),
    ],
)
def test_a_mapping_that_can_never_give_a_time_or_a_camera_stops_the_start(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "m.toml").write_text(text)
    for source in (*(folder(form, "m.toml") for form in ("csv", "json")), table("m.toml")):
        with pytest.raises(InputError, match=words) as raised:
            settings_of(source, tmp_path)
        assert "--" not in str(raised.value)
    said = {"zone": "America/Los_Angeles", "camera": "PIER-1"}
    assert settings_of(folder("csv", "m.toml", **said), tmp_path).camera == "PIER-1"


def test_a_template_that_names_no_record_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(WHOLE.replace('record = "AutoVu"\n', ""))
    with pytest.raises(InputError, match="source pier: mapping: record: is missing; name the"):
        settings_of(folder("autovu", "m.toml"), tmp_path)
    assert settings_of(folder("json", "m.toml"), tmp_path).mapping is not None


@pytest.mark.parametrize(
    "source",
    [
        folder("sql", "m.toml"),
        WebhookSource(
            name="pier", way="webhook", listen="localhost:1", certificate="a", key="b", token="c",
            format="sql", mapping="m.toml",
        ),
        MqttSource(
            name="pier", way="mqtt", host="h", topics=["t"], format="sql", mapping="m.toml"
        ),
    ],
)  # fmt: skip
def test_rows_of_a_table_are_no_format_of_what_is_sent(tmp_path: Path, source: Source) -> None:
    (tmp_path / "m.toml").write_text(WHOLE)
    with pytest.raises(InputError, match=r'"sql" is no format of documents; .* write way = "sql"'):
        settings_of(source, tmp_path)
    assert settings_of(table("m.toml"), tmp_path).mapping is not None
