"""docs/law.md holds every rule that is shipped, as the data says it, and the packs' format."""

import re
from pathlib import Path

from accord.agreements.law.packs import built_in_law
from accord.agreements.law.reading import FORMAT, parse_pack
from accord.agreements.law.rules import RuleKind
from accord.envelope import LAW
from accord.errors import Code

PAGE = Path(__file__).parents[3] / "docs" / "law.md"


def table() -> str:
    """The table as the data has it; paste it into the page when a pack changes."""
    lines = ["| Pack | Rule | State | Binds | Citation | Sure | From | What it says |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for pack in built_in_law().packs:
        for rule in pack.rules:
            note = f" *{rule.note}*" if rule.note else ""
            kinds = f" ({', '.join(sorted(rule.bound_kinds))})" if rule.bound_kinds else ""
            lines.append(
                f"| `{pack.id}` | `{rule.id}`, {rule.kind} | {rule.state} | {rule.binds}{kinds} "
                f"| {rule.citation} | {rule.confidence} | {rule.begins} | {rule.says}{note} |"
            )
    return "\n".join(lines)


def test_the_table_of_rules_is_the_data():
    text = PAGE.read_text()
    told = text.partition("<!-- rules -->\n")[2].partition("\n<!-- /rules -->")[0]
    assert told == table()


def test_the_pages_pack_reads_and_its_kinds_and_codes_are_the_codes():
    text = PAGE.read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert FORMAT in example
    assert parse_pack(example.encode(), "docs/law.md").id == "us-ca"
    rows = re.findall(r"^\| `([a-z-]+)` \|(.*)\|(.*)\|$", text, re.MULTILINE)
    kinds = {kind: told for kind, _, told in rows if kind in set(RuleKind)}
    assert set(kinds) == set(RuleKind)
    codes = {code for told in kinds.values() for code in re.findall(r"`([A-Z_]+)`", told)}
    assert codes <= {code.value for code in Code}
    assert "LAW_FORBIDS" in codes
    assert LAW in text
