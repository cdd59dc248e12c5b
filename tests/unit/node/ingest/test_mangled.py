"""Whatever stands where a field should be, no format crashes or loses the next record."""

import copy
import json
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from node.ingest.autovu import AutoVu
from node.ingest.axis import Axis
from node.ingest.formats import Format
from node.ingest.frigate import Frigate
from node.ingest.hikvision import Hikvision
from node.ingest.json_reads import JsonReads
from node.ingest.openalpr import OpenAlpr
from node.ingest.platerecognizer import PlateRecognizer
from node.ingest.settings import Settings
from tests.unit.node.ingest import test_axis as axis
from tests.unit.node.ingest import test_frigate as frigate
from tests.unit.node.ingest import test_hikvision as hikvision
from tests.unit.node.ingest import test_mapped as of_mapping
from tests.unit.node.ingest import test_openalpr as openalpr
from tests.unit.node.ingest import test_platerecognizer as platerecognizer
from tests.unit.node.ingest.damage import plates, run

NONE = Settings()
Kind = tuple[Format, Settings, dict[str, Any], dict[str, Any]]
# Each with an event that is mangled and the one that follows it.
KINDS: list[Kind] = [
    (OpenAlpr(), NONE, openalpr.group(), openalpr.group(9)),
    (OpenAlpr(), NONE, openalpr.group_v1(), openalpr.group(9)),
    (OpenAlpr(), NONE, openalpr.frame("TEST001", "TEST002"), openalpr.group(9)),
    (OpenAlpr(), NONE, openalpr.alert(group=openalpr.group()), openalpr.group(9)),
    (
        PlateRecognizer(),
        NONE,
        platerecognizer.hook(platerecognizer.answer()),
        platerecognizer.answer(platerecognizer.result("test009")),
    ),
    (Axis(), NONE, axis.event(), axis.event("TEST009", car=9)),
    (Frigate(), NONE, frigate.lpr(), frigate.lpr("TEST009", 9)),
    (Frigate(), NONE, frigate.ended("TEST001"), frigate.lpr("TEST009", 9)),
    (JsonReads(), of_mapping.AS_JSON, of_mapping.record(), of_mapping.record("TEST009")),
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(part: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside."""
    inner = part.items() if isinstance(part, dict) else enumerate(part)
    found: list[tuple[Any, ...]] = []
    for key, value in inner:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0].name)
@given(data=st.data())
@hypothesis_settings(deadline=None)
def test_any_value_in_any_field_of_json(kind: Kind, data: st.DataObject) -> None:
    form, settings, event, following = kind
    mangled = copy.deepcopy(event)
    for _ in range(data.draw(st.integers(1, 3))):
        *steps, last = data.draw(st.sampled_from(places(mangled)))
        part = mangled
        for step in steps:
            part = part[step]
        part[last] = data.draw(anything)
    content = b"\n".join(json.dumps(one).encode() for one in (mangled, following))
    assert plates(run(form, content, settings))[-1] == "TEST009"


XML: list[tuple[Format, Settings, str, str]] = [
    (Hikvision(), hikvision.AT_PIER, hikvision.alert(), hikvision.alert("TEST009")),
    (
        Hikvision(),
        hikvision.AT_PIER,
        hikvision.pulled(*hikvision.SOME),
        hikvision.pulled(("TEST009", "20260301T003000")),
    ),
    (AutoVu(), of_mapping.AS_XML, of_mapping.xml(), of_mapping.xml("TEST009")),
]


@pytest.mark.parametrize("kind", XML, ids=lambda kind: kind[0].name)
@given(data=st.data())
@hypothesis_settings(deadline=None)
def test_any_text_in_any_element_of_xml(
    kind: tuple[Format, Settings, str, str], data: st.DataObject
) -> None:
    form, settings, event, following = kind
    parts = event.split(">")
    place = data.draw(st.integers(0, len(parts) - 1))
    text = escape(data.draw(st.text(max_size=20)))
    parts[place] = text + "<" + parts[place].partition("<")[2]
    content = ">".join(parts) + "\n" + following
    assert plates(run(form, content.encode("utf-8", "replace"), settings))[-1] == "TEST009"
