"""``accord query`` with what can't be asked: one line, and nobody is asked.

So one federation is enough for all of it.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from accord.clock import SystemClock
from tests.conftest import PLATE, Federation, make_files, running
from tests.integration.questions import WHY, asking
from tests.programs import Run

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def federation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Federation]:
    files = make_files(tmp_path_factory.mktemp("standing"), SystemClock())
    files.build()
    async with running(files) as built:
        yield built


@pytest.fixture
def query(federation: Federation) -> Run:
    return asking(federation)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plate", ""), "A plate is 1 to 12 letters"),
        (("plate", "9T\u0405T001"), "a look-alike from another alphabet"),
        (("partial", "*"), "at least 2 known characters"),
        (("plate", PLATE, "--since", "1h", "--until", "2h"), "must start before it ends"),
        (("plate", PLATE, "--since", "2026-01-01"), "is not a time with a zone"),
        (("plate", PLATE, "--state", "California"), "two capital letters"),
        (("area", "34,-118,33,-117"), "south below north"),
        (("area", "somewhere"), "is not four numbers"),
        (("area", "-90,-180,-91,180"), "south below north"),
        (("area", "--al"), "is not four numbers"),
        (("plate", PLATE, "--json", "--csv"), "--json, --csv: are given both; choose one form"),
        (("photo", "zz", "--from", "city", "--out", "p.jpg"), "is not 32 hex digits"),
    ],
)
async def test_what_can_not_be_asked_is_told_in_one_line(
    query: Run, arguments: tuple[str, ...], words: str
) -> None:
    ran = await query(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err
    assert PLATE not in ran.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--reason", "x" * 501), "The reason is longer than 500 characters"),
        (("--case", "\udcff"), "The case number is longer"),
        (("--attest", "\udcff"), "The attestation is longer"),
        (("--purpose", "\udcff"), "The purpose is longer"),
        (("--from", "city", "--from", "city"), "named twice"),
    ],
)
async def test_a_slip_is_found_before_anything_is_asked(
    query: Run, federation: Federation, more: tuple[str, ...], said: str
) -> None:
    """Bytes that are no text come as arguments too, and nobody gets a traceback."""
    before = federation.kinds("harbor")
    ran = await query("plate", PLATE, why=(*WHY, *more))
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert said in ran.err
    assert federation.kinds("harbor") == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lookalike", "9TST0\u041e1"), "query: The plate holds a character other than"),
        (("circle", "33.75,-118.26"), "area: is not three numbers; write LAT,LON,METRES"),
        (("circle", "33.75,-118.26,90000"), "query: The radius of a circle is 1 to 50000 metres."),
        (("polygon", "33.7,-118.3", "33.7,-118.2"), "query: A polygon has 3 to 64 points."),
        (("polygon", "33.7,-118.3", "33.7", "34,-118"), "area: is not two numbers"),
        (("area", "1,2,3,nan"), "area: is not four numbers"),
        (("plates", PLATE), "query: A list holds 2 to 100 plates"),
        (("plates", f"CA:{PLATE}", f"NV:{PLATE}"), "plates: name one plate with two states"),
        (("plates", PLATE, "California:9TST002"), "query: The state is two capital letters"),
    ],
)
async def test_a_slip_is_one_line_and_nothing_is_asked(
    query: Run, federation: Federation, arguments: tuple[str, ...], words: str
) -> None:
    ran = await query(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert federation.kinds("harbor") == ["start"]
