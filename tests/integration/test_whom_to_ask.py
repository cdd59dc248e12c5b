"""Over the wire, a refusal says its section and whom to talk to, and no more."""

from pathlib import Path

from accord.clock import SystemClock
from accord.results import AgencyOutcome
from tests.conftest import Federation, make_files, running


async def ask(federation: Federation, agency: str, officer: str = "O-1") -> AgencyOutcome:
    async with federation.client(officer=officer) as client:
        result = await client.ask(federation.question(agencies=(agency,)))
    (outcome,) = result.outcomes
    return outcome


def said(outcome: AgencyOutcome) -> tuple[str, str, str, str, str]:
    return (outcome.code, outcome.section, outcome.text, outcome.contact, outcome.refused_by)


async def test_an_unreadable_policy_looks_like_one_that_says_no(federation: Federation) -> None:
    node = federation.nodes["city"]
    policy = federation.files.folder("city") / "policy.toml"
    text = policy.read_text()
    told = []
    partner = 'agency = "harbor"'
    for changed in (
        text.replace(partner, f'{partner}\npurposes = ["amber-alert"]'),
        text.replace(partner, 'agency = "county"'),
        "this is no policy",
    ):
        policy.write_text(changed)
        node.context.sources.refresh()
        told.append(said(await ask(federation, "city")))
    assert told[0][:2] == ("LOCAL_POLICY", "II.B")
    assert told[0][3:] == ("ALPR coordinator, City", "city")
    assert told == [told[0]] * 3
    policy.write_text(text)
    node.context.sources.refresh()
    assert (await ask(federation, "city")).final


async def test_each_refusal_names_who_can_do_something_about_it(tmp_path: Path) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    async with running(files) as federation:
        lapsed = await ask(federation, "city", officer="O-2")
        assert (lapsed.code, lapsed.section) == ("TRAINING_LAPSED", "II.A")
        assert (lapsed.contact, lapsed.refused_by) == ("ALPR coordinator, Harbor", "harbor")
        await federation.nodes["county"].server.stop(grace=None)
        gone = await ask(federation, "county")
        # The broker's own word, but the contact is from the client's own folder.
        assert (gone.code, gone.claimed) == ("NODE_UNREACHABLE", True)
        assert gone.contact == "ALPR coordinator, County"
        (files.folder("harbor") / "roster.json").write_text("{}")
        stale = await ask(federation, "city")
        assert (stale.code, stale.section) == ("ROSTER_STALE", "MOA II.A")
        assert stale.contact == "ALPR coordinator, Harbor"
