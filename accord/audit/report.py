"""Audit entries as a person reads them, and where a node's or broker's log lies.

The columns are those of Cal. Civ. Code 1798.90.52(a): date and time, the
plate or other data elements used to query, the user and the organisation, and
the purpose; with what MOA III adds: the decision and what was given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict

from accord.audit.absence import AUTHORITY, ENTRY, EXPUNGED, FIELDS, SIGNER
from accord.audit.file import LogFile
from accord.audit.reader import AuditReader, Shown
from accord.clock import iso
from accord.errors import InputError
from accord.keys import PrivateKey, read_secret_32
from accord.model import check_agency
from accord.strict_toml import StrictModel, read_toml

COLUMNS = (
    "index",
    "time",
    "kind",
    "user",
    "organisation",
    "on_behalf_of",
    "purpose",
    "case",
    "asked",
    "decision",
    "count",
    "answer_digest",
)

# Shown elsewhere in the line, or only of use to a program (--json has them all).
_COUNTED = ("reads", "photos", "entries", "hits")


class _Keys(StrictModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)
    audit: str
    audit_secret: str


class _Config(StrictModel):
    """The few keys of node.toml and broker.toml that say where the log lies."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)
    agency: str = ""
    operator: str = ""
    data: str
    keys: _Keys
    store: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """Where a log, its secret and its private key lie, and the log's name."""

    log: Path
    secret: Path
    key: Path
    origin: str

    def open(self) -> AuditReader:
        """Return a reader of this log.

        Raises:
            InputError: naming the file to mend.
        """
        public = PrivateKey.load(self.key).public
        return AuditReader.open(LogFile(self.log), read_secret_32(self.secret), public, self.origin)


def locate(config: Path, log: Path | None = None) -> Located:
    """Return where the log of a node.toml or broker.toml lies, its keys, and its name.

    ``log`` is a copy of it that is to be read instead.

    Raises:
        InputError: naming the file and key; or the log is in no file.
    """
    found = read_toml(config, _Config)
    base = config.resolve().parent
    if bool(found.agency) == bool(found.operator):
        raise InputError(config, "names no agency and no operator", "give node.toml or broker.toml")
    if log is None and found.store is not None:
        remedy = "run accord-node audit export audit.db, and add --log audit.db"
        raise InputError(config, "keeps its audit log on a PostgreSQL server", remedy)
    name = check_agency(found.agency or found.operator, config)
    return Located(
        log=log or base / found.data / "audit.db",
        secret=base / found.keys.audit_secret,
        key=base / found.keys.audit,
        origin=f"{name}/{'node' if found.agency else 'broker'}",
    )


def asked(fields: Mapping[str, str]) -> str:
    """Return every filter of a query in words; "" for records that are no query.

    Of a record that says what was expunged, that.
    """
    if fields.get("kind") == EXPUNGED:
        return f"{fields.get(FIELDS) or 'the record'} of entry {fields.get(ENTRY, '')}"
    kind = fields.get("asked", "")
    if not kind:
        return ""
    asked = ("plate", "plates", "area", "read_id")
    what = next((fields[name] for name in asked if fields.get(name)), "")
    parts = [f"{kind} {what}"]
    if fields.get("state"):
        parts.append(f"state {fields['state']}")
    if fields.get("substitutions"):
        parts.append(f"substitutions up to {fields['substitutions']}")
    if "from" in fields:
        parts.append(f"from {fields['from']} to {fields.get('to', '')}")
    if fields.get("fields"):
        parts.append(f"fields {fields['fields']}")
    if "row_limit" in fields:
        parts.append(f"{fields.get('page', 'first')} page of {fields['row_limit']} rows")
    if fields.get("audience"):
        parts.append(f"of {fields['audience']}")
    return ", ".join(parts)


def decided(fields: Mapping[str, str]) -> str:
    """Return decision or outcome with code and clause, such as ``refused: STALE (MOA II.A)``."""
    if fields.get("kind") == EXPUNGED:
        return f"{fields.get(AUTHORITY, '')}, signed for by {fields.get(SIGNER, '')}"
    said = fields.get("outcome") or fields.get("decision", "")
    if fields.get("code"):
        said = f"{said}: {fields['code']}" if said else fields["code"]
    if fields.get("section"):
        said = f"{said} ({fields['section']})"
    if not said:
        said = ", ".join(f"{fields[name]} {name}" for name in _COUNTED if name in fields)
    return said


def line(shown: Shown) -> dict[str, str]:
    """Return one entry as the :data:`COLUMNS` of the report."""
    fields = shown.fields
    user = " ".join(filter(None, (fields.get("officer"), fields.get("officer_name"))))
    return {
        "index": str(shown.index),
        "time": iso(shown.time_ms),
        # Of a record that was expunged nothing else is left.
        "kind": shown.kind or "(expunged)",
        "user": user,
        "organisation": fields.get("agency", ""),
        "on_behalf_of": fields.get("on_behalf_of", ""),
        "purpose": fields.get("purpose", ""),
        "case": fields.get("case", ""),
        "asked": asked(fields),
        "decision": decided(fields),
        "count": fields.get("count", ""),
        "answer_digest": fields.get("answer_digest", ""),
    }
