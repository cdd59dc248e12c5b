"""``agreement.toml``: what was signed, as rules that a machine keeps. Strict, pure.

    format = "accord-agreement/1"
    id = "city-harbor"
    title = "Sharing of ALPR information between City and Harbor"
    revision = 1                         # from 2 on with the text that it amends:
    # replaces = "sha256:<64 hex>"       # its fingerprint, as check prints it
    time_zone = "America/Los_Angeles"
    [[parties]]                          # two or more
    id = "city"
    name = "City Police Department"
    root = "sha256:<64 hex>"             # fingerprint of the party's offline root key
    contact = "alpr@city.example"
    [scope]                              # each group names the section it comes from
    section = "II.A"
    kinds = ["reads", "hot-list"]
    direction = "both"                   # or "one-way", with owner and requester
    partners = "opt-in"                  # * each picks its partners; or "all", as if left out
    opt_in = "owner"                     # who must have picked whom; or "both"
    [purposes]
    section = "II.A"
    allowed = ["stolen-vehicle", "criminal-investigation"]
    prohibited = ["hit-and-run"]         # * under no agreement between the parties
    [purposes.offences]                  # may be left out, as all that is marked *
    criminal-investigation = ["homicide", "robbery"]
    [eligibility]
    section = "II.A"
    training_within_days = 730
    training_course = "ALPR basics"      # * or "any", as if left out
    employment = ["employee"]            # * this if left out; or reserve, task-force, contractor
    roles = ["detective"]                # * left out: any
    case_number = "required"             # or "optional"
    reason = "required"
    approval = "supervisor"              # * or "none", "court"
    approval_beyond_days = 90            # * only for searches that reach back further, and
                                         #   photos of older reads
    approval_max_age_days = 14           # * 30 if left out: days since it was given
    [onward]                             # no node ever answers with what it received; this is
    section = "II.A"                     # about persons: recorded, as no machine sees them
    sharing = "none"                     # or "listed": persons may hand on, outside Accord,
    recipients = ["prosecutor"]          # to these, and never to anybody else
    legal_process = "required"           # or "not-required"
    [local_policy]
    section = "II.B"
    effect = "narrows"
    prevails = "policy"                  # * where text and policy differ; or "agreement": recorded,
    prevails_section = "II.B"            # * since a node gives only what both allow; its section
    [limits]
    section = "Annex 1"
    look_back_days = 365
    row_limit = 500
    plates_per_query = 10                # * several plates in one search, 100 at most; else 1
    officer_per_day = 200                # * queries; also agency_per_day, agency_per_minute
    [limits.by_purpose]                  # * days, fewer than look_back_days
    criminal-investigation = 90
    [fields]                             # the plate is always shared
    section = "I.C"
    time = "minute"
    place = "500 m"
    camera = "pseudonym"
    vehicle = "shared"
    photo = "masked"
    confidence = "none"                  # * the recogniser's own; or "shared"
    [retention]
    section = "IV"
    received_days = 30                   # or "own-policy"
    counted_from = "receipt"             # * or "capture"
    [term]
    section = "V"
    commencement = "last-signature"
    length_years = 3
    ends = "day-before"                  # last day in force; or "anniversary"
    extension = "once"                   # or "none", "counted", "repeating"
    extension_years = 1                  # unless there is none
    extensions = 2                       # how many; only where "counted"
    [termination]                        # left out: only all parties together end it early
    section = "V"
    notice_days = 30                     # between the notice and the last day
    channels = ["certified-mail", "facsimile"]  # all of these
    counted_from = "receipt"             # or "sending"
    [non_extension]                      # how one party prevents an extension
    section = "V"
    notice_days = 30
    channels = ["any-writing"]
    counted_from = "receipt"
    [withdrawal]                         # * how one member leaves; left out: as [termination]
    section = "V"
    notice_days = 30
    channels = ["any-writing"]
    counted_from = "sending"
    [parent]                             # * the agreement under which this one stands
    section = "I"
    id = "region"
    digest = "sha256:<64 hex>"           # its fingerprint, as check prints it
    [joinder]                            # * agencies may join
    section = "X"
    admitted_by = "every-party"          # or the id of the one that admits for all
    kinds = ["police", "sheriff"]        # * of these kinds of agencies, of these states
    states = ["CA"]
    [disputes]                           # may be left out
    section = "VII.A"
    meeting_business_days = 5            # recorded: the calendar tells the day
    holidays = "US-CA"                   # country and subdivision; or "none"
    interim_days = 7                     # * a watch commander's decision lasts no longer: enforced
    interim_section = "VII.B"            # * the section that lets one decide, if another
    [heads]                              # may be left out
    section = "V"
    max_age_hours = 24                   # 1 to 720: nothing is shared on older ones
    [execution]
    section = "VIII"
    counterparts = "every-party"

    [[clauses]]                          # what no table says, as often as needed
    id = "verify-before-action"
    section = "III"
    state = "attested"                   # or "enforced", "recorded", "undecided"
    says = "I verify plate and state before any enforcement action."
    by = "audit-log"                     # only where enforced: the mechanism
    [sections]                           # each section that is cited, and no other
    "III" = "sha256:<64 hex>"            # of its text, in the file sections/III.txt
    "V" = "not held"

The tables that may be left out stand in :mod:`accord.agreements.provisions_reading`.
Rules with one possible word are written out all the same: counsel sees that
the point is settled, and a later version can offer more words. A question that
counsel has not answered yet is written "undecided", for the keys that
:mod:`accord.agreements.questions` lists; such a text can be read and checked,
but not signed, and it is never in force.
"""

import hashlib

from accord.agreements.business_days import NO_HOLIDAYS, is_calendar
from accord.agreements.clause_reading import read_clauses, read_sections
from accord.agreements.contradictions import check_together
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest import (
    CountedFrom,
    Disputes,
    Ends,
    Extension,
    HeadsRule,
    Manifest,
    NoticeRule,
    Parent,
    Party,
    Precedence,
    Prevails,
    TermRule,
)
from accord.agreements.manifest_file import (
    Channel,
    DisputesEntry,
    LocalPolicyEntry,
    ManifestFile,
    NoticeEntry,
    PartyEntry,
    TermEntry,
)
from accord.agreements.provisions_reading import read_onward, read_provisions
from accord.agreements.questions import UNDECIDED, decided, undecided
from accord.agreements.reading import Source
from accord.agreements.rules_reading import (
    read_eligibility,
    read_fields,
    read_limits,
    read_purposes,
    read_retention,
)
from accord.agreements.scope_reading import read_joinder, read_scope
from accord.errors import InputError
from accord.strict_toml import decode, parse_toml

FORMAT = "accord-agreement/1"
MAX_BYTES = 256 * 1024


def parse_manifest(data: bytes, where: object) -> Manifest:
    """Return the agreement that the exact bytes of ``agreement.toml`` say.

    Raises:
        InputError: one line: file, line where it can be told, key, remedy.
    """
    if len(data) > MAX_BYTES:
        raise InputError(where, "is larger than 256 KiB", "this can't be the right file")
    source = Source(decode(data, where), where)
    file = parse_toml(data, where, ManifestFile, FORMAT)
    _check_single_words(source, file)
    parties = _parties(source, file.parties)
    manifest = Manifest(
        id=source.agency(["id"], file.id, "an id of an agreement"),
        title=file.title,
        revision=file.revision,
        zone=source.zone(["time_zone"], file.time_zone),
        parties=parties,
        scope=read_scope(source, file.scope, parties),
        purposes=read_purposes(source, file.purposes),
        eligibility=read_eligibility(source, file.eligibility),
        limits=read_limits(source, file.limits, file.purposes),
        fields=read_fields(source, file.fields),
        retention=read_retention(source, file.retention),
        term=_term(source, file.term),
        termination=_notice(source, "termination", file.termination),
        non_extension=_non_extension(source, file),
        onward=read_onward(source, file.onward),
        policy_section=file.local_policy.section,
        execution_section=file.execution.section,
        digest=hashlib.sha256(data).digest(),
        undecided=tuple(undecided(file)),
        clauses=read_clauses(source, file.clauses),
        sections=read_sections(source, file),
        disputes=_disputes(source, file.disputes),
        replaces=_replaces(source, file),
        parent=_parent(source, file),
        joinder=read_joinder(source, file, parties),
        withdrawal=_notice(source, "withdrawal", file.withdrawal),
        provisions=read_provisions(source, file, [party.id for party in parties]),
        heads=HeadsRule(file.heads.section, file.heads.max_age_hours or 1) if file.heads else None,
        precedence=_precedence(source, file.local_policy),
    )
    check_together(source, manifest)
    return manifest


def _replaces(source: Source, file: ManifestFile) -> bytes:
    """Return the digest of the text that this one amends; b"" for a first text."""
    if file.revision == 1:
        if file.replaces is not None:
            raise source.error(
                ["replaces"], "is given at revision 1, which replaces nothing",
                "remove it, or write revision = 2",
            )  # fmt: skip
        return b""
    if file.replaces is None:
        raise source.error(
            ["revision"], f"is {file.revision}, yet nothing says which text it amends",
            'add replaces = "sha256:..." with the fingerprint of that text, or start from: '
            "accord agreement amend",
        )  # fmt: skip
    return bytes.fromhex(source.fingerprint(["replaces"], file.replaces, "of a text"))


def _parent(source: Source, file: ManifestFile) -> Parent | None:
    entry = file.parent
    if entry is None:
        return None
    name = source.agency(["parent", "id"], entry.id, "an id of an agreement")
    digest = source.fingerprint(["parent", "digest"], entry.digest, "of a text")
    return Parent(entry.section, name, bytes.fromhex(digest))


def _precedence(source: Source, entry: LocalPolicyEntry) -> Precedence | None:
    """Return which prevails; what is undecided is read as the policy, which narrows."""
    if entry.prevails is None:
        if entry.prevails_section is not None:
            raise source.error(
                ["local_policy", "prevails_section"],
                "is given although nothing says which prevails",
                'add prevails = "policy" or "agreement", or remove it',
            )
        return None
    words = [*(member.value for member in Prevails), UNDECIDED]
    key = ["local_policy", "prevails"]
    word = source.word(key, entry.prevails, words, "what can prevail")
    section = entry.prevails_section or entry.section
    return Precedence(section, Prevails(decided(word, Prevails.POLICY)))


def _check_single_words(source: Source, file: ManifestFile) -> None:
    """Check the keys that have one possible word in this format."""
    source.word(
        ["local_policy", "effect"], file.local_policy.effect, ["narrows"], "a rule that is known"
    )
    source.word(
        ["term", "commencement"],
        file.term.commencement,
        ["last-signature"],
        "a rule of commencement",
    )
    source.word(
        ["execution", "counterparts"],
        file.execution.counterparts,
        ["every-party"],
        "a rule that is known",
    )


def _parties(source: Source, entries: list[PartyEntry]) -> tuple[Party, ...]:
    if len(entries) < 2:
        raise source.error(["parties"], "has one party only", "write a [[parties]] for each")
    parties: list[Party] = []
    for number, entry in enumerate(entries):
        key = ["parties", str(number)]
        agency = source.agency([*key, "id"], entry.id)
        root = source.fingerprint([*key, "root"], entry.root, "of a key")
        for earlier in parties:
            if agency == earlier.id:
                raise source.error([*key, "id"], f"names {agency!r} twice", "remove one of them")
            if root == earlier.root:
                raise source.error(
                    [*key, "root"],
                    f"is the same as that of {earlier.id!r}",
                    "each party has a root key of its own",
                )
        kind = source.word(
            [*key, "kind"],
            entry.kind,
            sorted(built_in_law().eligible_kinds),
            "a kind of agency that may be a party",
        )
        state = source.state([*key, "state"], entry.state)
        parties.append(Party(agency, entry.name, root, entry.contact, kind, state))
    return tuple(parties)


def _notice(source: Source, name: str, entry: NoticeEntry | None) -> NoticeRule | None:
    """Return the rule; what is undecided is read as the later day, of receipt."""
    if entry is None:
        return None
    key = [name, "channels"]
    source.unique(key, entry.channels)
    channels = frozenset(
        source.choice(key, channel, Channel, "a channel") for channel in entry.channels
    )
    if Channel.ANY_WRITING in channels and len(channels) > 1:
        raise source.error(key, "holds any-writing and others too", "name the others, or it alone")
    words = [*(member.value for member in CountedFrom), UNDECIDED]
    counted = source.word([name, "counted_from"], entry.counted_from, words, "a day to count from")
    rule = CountedFrom.RECEIPT if counted == UNDECIDED else CountedFrom(counted)
    return NoticeRule(entry.section, entry.notice_days, channels, rule)


def _disputes(source: Source, entry: DisputesEntry | None) -> Disputes | None:
    if entry is None:
        return None
    if entry.holidays != UNDECIDED and not is_calendar(entry.holidays):
        raise source.error(
            ["disputes", "holidays"],
            f"holds {entry.holidays!r}, not a calendar of holidays",
            'write country and subdivision such as "US-CA", or "none" for weekends alone',
        )
    holidays = NO_HOLIDAYS if entry.holidays == UNDECIDED else entry.holidays
    section = entry.interim_section or entry.section
    days = entry.interim_days or 1
    return Disputes(entry.section, entry.meeting_business_days, holidays, days, section)


def _non_extension(source: Source, file: ManifestFile) -> NoticeRule | None:
    extended, entry = file.term.extension, file.non_extension
    if extended == Extension.NONE and entry is not None:
        raise source.error(
            ["non_extension"], "is given although the term is not extended", "remove it"
        )
    return _notice(source, "non_extension", entry)


def _term(source: Source, entry: TermEntry) -> TermRule:
    """Return the rule; what is undecided is read as the narrowest there is."""
    words = [*(member.value for member in Ends), UNDECIDED]
    ends = source.word(["term", "ends"], entry.ends, words, "an end of the term")
    words = [*(member.value for member in Extension), UNDECIDED]
    key = ["term", "extension"]
    extension = source.word(key, entry.extension, words, "an extension")
    needed = {
        "extension_years": extension not in (Extension.NONE, UNDECIDED),
        "extensions": extension == Extension.COUNTED,
    }
    for name, wanted in needed.items():
        given = getattr(entry, name) is not None
        if wanted and not given:
            raise source.error(key, f"is {extension!r}, yet {name} is missing", f"add {name} = 1")
        if given and not wanted and extension != UNDECIDED:
            problem = f"is given although term.extension is {extension!r}"
            raise source.error(["term", name], problem, "remove it, or say how it is extended")
    times = {Extension.ONCE: 1, Extension.COUNTED: entry.extensions, Extension.REPEATING: None}
    rule = Extension.NONE if extension == UNDECIDED else Extension(extension)
    return TermRule(
        entry.section,
        entry.length_years or 1,
        Ends.DAY_BEFORE if ends == UNDECIDED else Ends(ends),
        rule,
        entry.extension_years or 0,
        times.get(rule, 0),
    )
