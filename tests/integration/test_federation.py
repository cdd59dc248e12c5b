"""The whole path over real servers: asked, decided, redacted, merged, recorded."""

from dataclasses import replace

from accord.hot_lists import HotListEntry
from accord.model import AreaBox, Field, HotListPlate, OutcomeKind, WildcardPlate
from tests.conftest import FILES, PLATE, Federation, read_at
from tests.hot_lists import hold


async def test_two_agencies_answer_merged_and_each_redacted_by_its_own_agreement(
    federation: Federation,
) -> None:
    async with federation.client() as client:
        result = await client.ask(federation.question())
    assert result.complete
    assert [o.agency for o in result.outcomes] == ["city", "county"]
    assert len(result.reads) == 8
    times = [read.captured_ms for read in result.reads]
    assert times == sorted(times, reverse=True)
    for read in result.reads:
        assert read.place is not None
        if read.originator == "city":
            assert read.captured_ms % 60_000 == 0
            assert read.place.within_m == 500
            assert read.camera_is_pseudonym
            assert read.camera != "CAM-1"
        else:
            assert read.place.within_m == 0
            assert read.camera == "CAM-1"


async def test_both_sides_record(federation: Federation) -> None:
    async with federation.client() as client:
        result = await client.ask(federation.question())
    assert all(outcome.recorded for outcome in result.outcomes)
    assert federation.kinds("city") == ["start", "query", "answer"]
    assert federation.kinds("harbor") == ["start"] + ["countersign"] * 2 + ["returned"] * 2
    assert federation.broker is not None
    entries = federation.broker.audit.entries()
    # Heads are carried whenever nodes send them.
    kinds = [entry.kind for entry in entries if entry.kind not in FILES]
    assert kinds == ["start", "forward", "forward", "outcome", "outcome"]
    asked = next(
        entry for entry in federation.nodes["city"].context.audit.entries() if entry.kind == "query"
    )
    for name in ("officer", "officer_name", "agency", "purpose", "case", "plate", "from", "to"):
        assert asked.fields[name], name
    assert federation.nodes["city"].context.audit.verify().ok


async def test_a_purpose_outside_the_agreement_reaches_no_node(federation: Federation) -> None:
    async with federation.client() as client:
        result = await client.ask(federation.question(purpose="hit-and-run"))
    assert result.refused
    assert {o.code for o in result.outcomes} == {"PURPOSE_NOT_AGREED"}
    assert {o.section for o in result.outcomes} == {"II.A"}
    assert federation.kinds("city") == ["start"]
    assert federation.kinds("county") == ["start"]
    assert federation.kinds("harbor") == ["start", "refusal", "refusal"]


async def test_prohibited_purposes_are_refused_whatever_is_signed(federation: Federation) -> None:
    for purpose in ("civil-immigration", "commercial", "personal", "criminal-immigration"):
        async with federation.client() as client:
            result = await client.ask(federation.question(purpose=purpose))
        assert {o.code for o in result.outcomes} == {"PURPOSE_PROHIBITED"}, purpose
    assert federation.kinds("city") == ["start"]


async def test_lapsed_training_is_refused_at_home(federation: Federation) -> None:
    async with federation.client(officer="O-2") as client:
        result = await client.ask(federation.question())
    assert {o.code for o in result.outcomes} == {"TRAINING_LAPSED"}
    assert {o.refused_by for o in result.outcomes} == {"harbor"}
    assert federation.kinds("city") == ["start"]


async def test_no_agreement_no_answer(federation: Federation) -> None:
    async with federation.client("county") as client:
        result = await client.ask(federation.question(agencies=("city",)))
    assert [o.code for o in result.outcomes] == ["NO_AGREEMENT"]
    assert federation.kinds("city") == ["start"]


async def test_a_node_switched_off_is_named_and_the_answer_incomplete(
    federation: Federation,
) -> None:
    await federation.nodes["county"].server.stop(grace=0)
    async with federation.client() as client:
        result = await client.ask(federation.question())
    kinds = {o.agency: o.kind for o in result.outcomes}
    assert kinds == {"city": OutcomeKind.ANSWERED, "county": OutcomeKind.UNREACHABLE}
    assert not result.complete
    assert not result.outcomes[1].signed
    assert len(result.reads) == 4


async def test_pages_give_every_read_once_in_order(federation: Federation) -> None:
    now = federation.clock.now_ms()
    more = [read_at(now - minutes * 60_000 - 30_000) for minutes in range(1, 40)]
    federation.nodes["county"].context.store.add(more)
    async with federation.client() as client:
        pages = [p async for p in client.pages(federation.question(row_limit=7))]
    reads = [read for page in pages for read in page.reads]
    assert len(reads) == 47
    assert len({(r.originator, r.read_id) for r in reads}) == 47
    times = [read.captured_ms for read in reads]
    assert times == sorted(times, reverse=True)
    assert pages[-1].complete
    assert not pages[0].complete


async def test_reads_that_come_between_two_pages_disturb_none_of_them(
    federation: Federation,
) -> None:
    now = federation.clock.now_ms()
    question = federation.question(row_limit=2)
    async with federation.client() as client:
        before = {(r.originator, r.read_id) async for r in client.reads(question)}
        seen = []
        async for page in client.pages(question):
            seen += page.reads
            for agency in ("city", "county"):
                late = [read_at(now - minutes * 60_000) for minutes in (30, 90, 150, 290)]
                federation.nodes[agency].context.store.add(late)
    assert len(before) == 8
    assert sorted((r.originator, r.read_id) for r in seen) == sorted(before)
    assert [r.captured_ms for r in seen] == sorted((r.captured_ms for r in seen), reverse=True)


async def test_wildcard_area_and_hot_list(federation: Federation) -> None:
    now = federation.clock.now_ms()
    entry = HotListEntry("stolen", "State", PLATE, "CA", "stolen-vehicle", now - 1000, 86_400)
    stale = replace(entry, list="old", published_ms=now - 3 * 86_400_000)
    hold(federation.nodes["county"].context.store, entry)
    hold(federation.nodes["county"].context.store, stale)
    async with federation.client() as client:
        wild = await client.ask(federation.question(selector=WildcardPlate("9TST*")))
        none = await client.ask(federation.question(selector=WildcardPlate("8TST*")))
        box = AreaBox(337_000_000, -1_183_000_000, 338_000_000, -1_182_000_000)
        area = await client.ask(federation.question(selector=box))
        away = await client.ask(federation.question(selector=AreaBox(0, 0, 10_000_000, 10_000_000)))
        listed = await client.ask(federation.question(selector=HotListPlate(PLATE, "CA")))
    assert (len(wild.reads), len(none.reads)) == (8, 0)
    assert (len(area.reads), len(away.reads)) == (8, 0)
    assert {(e.entry.list, e.stale) for e in listed.entries} == {("stolen", False), ("old", True)}


async def test_own_officers_ask_their_own_node_under_local_policy(federation: Federation) -> None:
    async with federation.client("city") as client:
        result = await client.ask(federation.question(agencies=("city",)))
        refused = await client.ask(federation.question(agencies=("city",), purpose="personal"))
    assert len(result.reads) == 4
    assert {read.camera for read in result.reads} == {"CAM-1"}
    assert [o.code for o in refused.outcomes] == ["PURPOSE_PROHIBITED"]
    assert federation.kinds("city").count("answer") == 1


async def test_only_wanted_fields_come(federation: Federation) -> None:
    async with federation.client() as client:
        result = await client.ask(federation.question(fields=(Field.TIME,)))
    assert len(result.reads) == 8
    assert all(read.place is None and not read.camera for read in result.reads)


async def test_a_suspended_officer_is_out_at_once(federation: Federation) -> None:
    officer = federation.files.members["harbor"].officers["O-1"]
    async with federation.client() as client:
        before = await client.ask(federation.question())
        federation.files.members["harbor"].officers["O-1"] = replace(officer, standing="suspended")
        federation.files.publish_roster("harbor", number=2)
        after = await client.ask(federation.question())
    assert before.complete
    assert {o.code for o in after.outcomes} == {"OFFICER_NOT_IN_GOOD_STANDING"}
