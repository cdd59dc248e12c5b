"""Manifests to start from. The text is in ``moa.toml``; here its blanks are filled in."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from string import Template

from accord.agreements.clause_reading import NOT_HELD
from accord.agreements.manifest import Party
from accord.agreements.manifest_file import INTERIM_DAYS
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.questions import QUESTIONS, UNDECIDED
from accord.model import Kind, Purpose

MOA_PURPOSES = (
    Purpose.STOLEN_VEHICLE,
    Purpose.WANTED_PERSON,
    Purpose.AMBER_ALERT,
    Purpose.CRIMINAL_INVESTIGATION,
    Purpose.PUBLIC_SAFETY_THREAT,
)
"""Uses that the MOA itself names (I.C: hot-list matches, investigations, threats)."""

MOA_SECTIONS = ("I.C", "II.A", "II.B", "III", "IV", "V", "VI", "VII.A", "VII.B", "VII.C", "VIII")

MOA_ATTESTATIONS = ("no-civil-immigration", "verify-before-action")
"""What an officer declares under the MOA (II.A, III)."""


_ANSWERED = frozenset(
    ("scope.direction", "purposes.allowed", "local_policy.prevails", "term.length_years")
)
"""What the memorandum says itself: reciprocally (I.B), its uses (I.C), that the policies
stand (II.B), three years (V)."""

_NOT_THERE = frozenset(
    ("scope.opt_in", "onward.legal_process", "withdrawal.counted_from", "joinder.admitted_by",
     "export.allowed")
)  # fmt: skip
"""Questions of rules that the memorandum does not have, or has with one answer only."""

MOA_QUESTIONS = tuple(path for path in QUESTIONS if path not in _ANSWERED | _NOT_THERE)
"""What the memorandum leaves open: each must be answered before anybody signs."""


def template_moa(
    id: str,
    title: str,
    parties: Sequence[Party],
    *,
    revision: int = 1,
    replaces: bytes = b"",
    time_zone: str = "America/Los_Angeles",
    kinds: Sequence[str] = (Kind.READS, Kind.HOT_LIST),
    purposes: Sequence[str] = MOA_PURPOSES,
    training_within_days: int = 730,
    training_course: str = "",
    case_number: str = "required",
    reason: str = "required",
    approval: str = "none",
    look_back_days: int = 365,
    row_limit: int = 500,
    plates_per_query: int = 1,
    time: str = "minute",
    place: str = "500 m",
    camera: str = "pseudonym",
    vehicle: str = "shared",
    photo: str = "masked",
    received_days: int | None = 60,
    length_years: int = 3,
    ends: str = "day-before",
    extension: str = "none",
    extension_years: int = 1,
    counted_from: str = "receipt",
    holidays: str = "US-CA",
    interim_days: int = INTERIM_DAYS,
    head_hours: int | None = None,
    texts: Mapping[str, bytes] | None = None,
    hits: Sequence[str] = (),
    tables: str = "",
    undecided: Collection[str] = (),
) -> bytes:
    """Return a manifest on the MOA's terms, checked.

    ``replaces`` is the digest of the text that a later revision amends.
    ``texts`` are those of the document's sections, as far as they are held.
    ``hits`` are the hot lists whose hits may be asked for; the memorandum names
    no hits, so there are none unless the parties agree on them.
    ``tables`` are more tables of a manifest, as TOML; see
    :mod:`accord.agreements.provisions_reading`.
    ``head_hours`` is how old a node's word on its agency's notices may be; None
    leaves the rule out, unless it is undecided. ``training_course`` "" takes any.
    ``received_days`` None leaves what was received to the requester's own
    retention policy, as MOA IV reads. ``undecided`` are keys of
    :data:`accord.agreements.questions.QUESTIONS`, left to counsel whatever the
    other arguments say.

    Raises:
        InputError: a value that no manifest can hold.
    """
    keys: dict[str, str | int | Sequence[str]] = {
        "id": id,
        "title": title,
        "revision": revision,
        "time_zone": time_zone,
        "kinds": [str(kind) for kind in (*kinds, *([Kind.HITS] if hits else []))],
        "purposes": [str(purpose) for purpose in purposes],
        "length_years": length_years,
    }
    opened = frozenset(undecided)

    def said(path: str, value: str | int | Sequence[str]) -> str:
        """Return a value in TOML, or that it is undecided."""
        return _toml(UNDECIDED if path in opened else value)

    filled = {key: _toml(value) for key, value in keys.items()}
    if replaces:
        filled["revision"] += f'\nreplaces = "sha256:{replaces.hex()}"'
    extended = extension != "none" or "term.extension" in opened
    said_here: dict[str, str | int] = {
        "eligibility.training_within_days": training_within_days,
        "limits.look_back_days": look_back_days,
        "limits.row_limit": row_limit,
        "fields.time": time,
        "fields.place": place,
        "fields.camera": camera,
        "fields.photo": photo,
        "disputes.interim_days": interim_days,
    }
    for path, value in said_here.items():
        filled[path.partition(".")[2]] = said(path, value)
    if plates_per_query != 1:
        filled["row_limit"] += f"\nplates_per_query = {plates_per_query}"
    course = training_course or "eligibility.training_course" in opened
    named = said("eligibility.training_course", training_course)
    filled["training_course"] = f"training_course = {named}\n" if course else ""
    filled["ends"] = said("term.ends", ends)
    filled["extension"] = said("term.extension", extension)
    if extended:
        filled["extension"] += f"\nextension_years = {extension_years}"
    filled["vehicle"] = said("fields.vehicle", vehicle)
    filled["holidays"] = said("disputes.holidays", holidays)
    filled["case_number"] = said("eligibility.case_number", case_number)
    filled["reason"] = said("eligibility.reason", reason)
    filled["approval"] = said("eligibility.approval", approval)
    filled["prevails"] = said("local_policy.prevails", "policy")
    filled["sharing"] = said("onward.sharing", "none")
    days = "own-policy" if received_days is None else received_days
    filled["received_days"] = said("retention.received_days", days)
    hours = said("heads.max_age_hours", 0 if head_hours is None else head_hours)
    told = head_hours is not None or "heads.max_age_hours" in opened
    filled["heads"] = _heads(hours) if told else ""
    filled["sections"] = _sections(texts or {})
    filled["counted_from"] = said("termination.counted_from", counted_from)
    prevented = said("non_extension.counted_from", counted_from)
    filled["non_extension"] = _non_extension(prevented) if extended else ""
    opening = {name: _opened(name, opened) for name in _OPENED}
    filled |= {"criminal_immigration": "", "employment": "", "retained_from": ""} | opening
    filled["tables"] = _opened_tables(opened, hits) + (f"\n{tables}" if tables else "")
    filled["parties"] = "".join(_party(party) for party in parties)
    text = (resources.files(__package__) / "moa.toml").read_text(encoding="utf-8")
    data = Template(text).substitute(filled).encode()
    parse_manifest(data, f"the template filled in for {id}")
    return data


_OPENED: Mapping[str, tuple[str, str]] = {
    "criminal_immigration": ("purposes.criminal_immigration", f'"{UNDECIDED}"'),
    "employment": ("eligibility.employment", f'["{UNDECIDED}"]'),
    "retained_from": ("retention.counted_from", f'"{UNDECIDED}"'),
}
"""Lines that are there only where their question is open: place, key and value."""

_OPENED_TABLES = {
    "hot_lists": (
        "# Hot lists must be the newest; the memorandum names no age and no source:\n"
        "# add max_age_hours and sources if you agree on them. What is too old is\n"
        "# marked or withheld.\n",
        ('section = "III"', 'shared = ["list", "source", "category"]'),
    ),
    "survival": (
        "# After the end. A query under way is answered or refused; what was received\n"
        "# is kept-as-agreed or deleted-at-end; an alert, a match with a hot list that was\n"
        "# told before, may be acted-on still or is dropped: recorded, no machine sees it.\n"
        "# Add logs_years if you agree on it.\n",
        ('section = "V"',),
    ),
}
"""Tables that the memorandum does not have, but whose questions it leaves open."""


def _opened(name: str, opened: frozenset[str]) -> str:
    path, value = _OPENED[name]
    return f"{path.partition('.')[2]} = {value}\n" if path in opened else ""


def _opened_tables(opened: frozenset[str], hits: Sequence[str]) -> str:
    text = ""
    more = {"hot_lists": [f"hits = {_toml(list(hits))}"] if hits else []}
    for table, (remark, lines) in _OPENED_TABLES.items():
        keys = [path.partition(".")[2] for path in QUESTIONS if path.startswith(f"{table}.")]
        keys = [key for key in keys if f"{table}.{key}" in opened]
        if keys or more.get(table):
            said = [f'{key} = "{UNDECIDED}"' for key in keys] + more.get(table, [])
            text += f"\n{remark}[{table}]\n" + "\n".join((*lines, *said)) + "\n"
    return text


def _sections(texts: Mapping[str, bytes]) -> str:
    hashes = {name: f"sha256:{hashlib.sha256(text).hexdigest()}" for name, text in texts.items()}
    said = dict.fromkeys(MOA_SECTIONS, NOT_HELD) | hashes
    return "".join(f"{_toml(name)} = {_toml(text)}\n" for name, text in said.items())


def _non_extension(counted_from: str) -> str:
    lines = ["", "# The extension is prevented by a written notice; no channel is named."]
    lines += ["[non_extension]", 'section = "V"', "notice_days = 30"]
    lines += ['channels = ["any-writing"]', f"counted_from = {counted_from}", ""]
    return "\n".join(lines)


def _heads(hours: str) -> str:
    lines = [
        "",
        "# A notice counts only where it arrives. So each node signs again and again which",
    ]
    lines += ["# notices its counsel has given; nothing is shared once the last word of either"]
    lines += ["# side is older than this. The memorandum says nothing of it."]
    lines += ["[heads]", 'section = "V"', f"max_age_hours = {hours}", ""]
    return "\n".join(lines)


def _party(party: Party) -> str:
    lines = ["", "[[parties]]", f"id = {_toml(party.id)}", f"name = {_toml(party.name)}"]
    lines += [f'root = "sha256:{party.root}"', f"contact = {_toml(party.contact)}"]
    lines += [f"kind = {_toml(party.kind)}", f"state = {_toml(party.state)}", ""]
    return "\n".join(lines)


def _toml(value: str | int | Sequence[str]) -> str:
    """Return a TOML value: JSON's texts, whole numbers and lists are TOML's too."""
    return json.dumps(value, ensure_ascii=False)
