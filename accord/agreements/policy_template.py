"""A ``policy.toml`` to start from. The text is in ``templates/policy.toml``."""

import json
from importlib import resources
from string import Template

from accord.agreements.policy import UNDECIDED, parse_policy
from accord.agreements.policy_document import ITEMS, Item


def template_policy(agency: str, time_zone: str, blind: str) -> bytes:
    """Return a policy that shares with nobody and answers no question, checked.

    ``blind`` is 32 to 64 random hex digits.

    Raises:
        InputError: a value that no policy can hold.
    """
    folder = resources.files("accord.agreements.templates")
    text = (folder / "policy.toml").read_text(encoding="utf-8")
    filled = {"agency": agency, "time_zone": time_zone, "blind": blind}
    quoted = {key: json.dumps(value, ensure_ascii=False) for key, value in filled.items()}
    questions = "".join(map(_question, ITEMS))
    data = Template(text).substitute(quoted, questions=questions.strip()).encode()
    parse_policy(data, f"the template filled in for {agency}")
    return data


def _question(item: Item) -> str:
    asks = f"# {item.question}"
    answer = f'["{UNDECIDED}"]' if item.key == "job_titles" else f'"{UNDECIDED}"'
    hint = {"effective": "  # a date without quotes, such as 2026-03-01"}.get(item.key, "")
    where = f"# {item.cite}\n" if item.cite else ""
    return f"{asks}\n{where}{item.key} = {answer}{hint}\n"
