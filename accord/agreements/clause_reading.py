"""The clauses that are no table of the manifest, and the sections that rules cite. Pure."""

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping

from accord.agreements.manifest import ClauseRule, Manifest, State
from accord.agreements.manifest_file import ClauseEntry, ManifestFile
from accord.agreements.reading import Source
from accord.errors import InputError

NOT_HELD = "not held"
LAW_PREFIX = "law-"
"""How the ids of declarations begin that a law wants, and no clause's id."""

MECHANISMS: Mapping[str, str] = {
    "audit-log": "whoever gets a query has it in its log, refused or not, before it answers",
    "counterparts": "it is in force only once every party's counsel has signed these bytes",
    "credential": "the officer's agency vouches for employment, standing, training at each query",
    "floor": "refused whatever any agreement or policy says",
    "hot-list-age": "every entry says how old its list is, and whether that is too old",
    "instruments": "signed by counsel, it takes effect on every node that has the file",
    "local-policy": "the owner's policy narrows each answer; without one its node answers nobody",
    "originator": "a node answers with its own reads only, and each bears its agency's name",
    "redaction": "only the fields of the table [fields] leave the owner's node",
    "retention-duty": "each answer says by when what was received must be deleted",
    "transport": "mutual TLS, signed queries and answers, sealed logs",
    "withholding": "what the owner keeps back looks like nothing found",
}
"""What a clause can be enforced by: these hold for every agreement."""

_ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
_HASH = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def read_clauses(source: Source, entries: Iterable[ClauseEntry]) -> tuple[ClauseRule, ...]:
    """Return the checked clauses.

    Raises:
        InputError: naming line and key.
    """
    found: list[ClauseRule] = []
    for number, entry in enumerate(entries):
        key = ["clauses", str(number)]
        if not _ID.fullmatch(entry.id) or len(entry.id) > 64:
            problem = f"holds {entry.id!r}, not an id of a clause"
            remedy = "write lower-case words with hyphens, such as periodic-audit"
            raise source.error([*key, "id"], problem, remedy)
        if entry.id.startswith(LAW_PREFIX):
            problem = f"begins with {LAW_PREFIX}, as the declarations that a law wants do"
            raise source.error([*key, "id"], problem, "give it another id")
        if entry.id in {clause.id for clause in found}:
            raise source.error([*key, "id"], f"names {entry.id!r} twice", "give each its own")
        state = source.choice([*key, "state"], entry.state, State, "a state of a clause")
        by = _mechanism(source, key, entry, state)
        found.append(ClauseRule(entry.id, entry.section, state, entry.says, by))
    return tuple(found)


def _mechanism(source: Source, key: list[str], entry: ClauseEntry, state: State) -> str:
    if state is State.ENFORCED:
        if entry.by is None:
            raise source.error(
                [*key, "state"], "is enforced, yet nothing says by what",
                f"add by = one of {', '.join(MECHANISMS)}, or write recorded",
            )  # fmt: skip
        return source.word([*key, "by"], entry.by, MECHANISMS, "a mechanism that Accord has")
    if entry.by is not None:
        raise source.error([*key, "by"], f"is given although it is {state}", "remove it")
    return ""


def read_sections(source: Source, file: ManifestFile) -> tuple[tuple[str, str], ...]:
    """Return each section with its text's hash; each that is cited is there, and no other.

    Raises:
        InputError: naming the section.
    """
    cited = set(_cited(file))
    for section in sorted(cited - file.sections.keys()):
        near = difflib.get_close_matches(section, file.sections.keys() - cited, n=1)
        remedy = f'write it alike in both places, such as "{near[0]}"' if near else (
            f'add "{section}" = "{NOT_HELD}", or the hash of its text'
        )  # fmt: skip
        problem = f"lacks the section {section!r}, which a rule cites"
        raise source.error(["sections"], problem, remedy)
    for section, text in file.sections.items():
        if section not in cited:
            problem = f"holds the section {section!r}, which no rule cites"
            raise source.error(["sections"], problem, "say in [[clauses]] what becomes of it")
        if text != NOT_HELD and not _HASH.fullmatch(text):
            problem = f"holds {text!r} for {section!r}, which is no hash"
            remedy = f'write "{NOT_HELD}", or "sha256:" and 64 hex digits in lower case'
            raise source.error(["sections"], problem, remedy)
    hashes = {section: text.removeprefix("sha256:") for section, text in file.sections.items()}
    return tuple((name, "" if text == NOT_HELD else text) for name, text in hashes.items())


def _cited(file: ManifestFile) -> Iterable[str]:
    for name in type(file).model_fields:
        value = getattr(file, name)
        for entry in value if isinstance(value, list) else [value]:
            section = getattr(entry, "section", None)
            if isinstance(section, str):
                yield section
    if file.disputes is not None and file.disputes.interim_section is not None:
        yield file.disputes.interim_section
    if file.local_policy.prevails_section is not None:
        yield file.local_policy.prevails_section


def check_texts(manifest: Manifest, texts: Mapping[str, bytes], where: object) -> tuple[str, ...]:
    """Return the sections whose text is held here and is the one that was signed.

    Raises:
        InputError: a text that is another than the manifest's hash says, or of
            a section that the manifest does not hold.
    """
    hashes = dict(manifest.sections)
    for section, text in texts.items():
        if not hashes.get(section):
            raise InputError(
                where, f"holds a text of {section!r}, for which the manifest names no hash",
                f'write its hash there: "sha256:{hashlib.sha256(text).hexdigest()}"',
            )  # fmt: skip
        if hashlib.sha256(text).hexdigest() != hashes[section]:
            raise InputError(
                where, f"holds another text of {section!r} than the manifest names",
                "get the text that was signed",
            )  # fmt: skip
    return tuple(sorted(texts))
