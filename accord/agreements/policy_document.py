"""The usage and privacy policy as a document that can be published. Pure.

Cal. Civ. Code 1798.90.51(b)(2) says what an operator's policy must hold at
least, and 1798.90.53(b)(2) what an end-user's: the same seven letters, and a
process for audits besides. An agency that runs a node is both, so every key of
``[document]`` is asked for::

    A  purposes                                     own.purposes
    B  job_titles contractors training              own.training_within_days ...
    C  monitoring audits                            rates
    D  sharing_purposes sharing_process             partner, withhold
       sharing_restrictions
    E  custodian
    F  accuracy corrections
    G  destruction                                  retention

The words are the agency's; the figures beside them are read off the keys that
the node keeps (on the right), so that the document says what the machine does.
What is withheld is counted and never named.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields

from accord.agreements.policy import PartnerRule, Policy, RetentionDays, Texts
from accord.agreements.provision_words import approval_words
from accord.agreements.provisions import Export
from accord.agreements.terms import OPEN
from accord.agreements.words import seen_words
from accord.errors import InputError
from accord.model import PROHIBITED, READ_NOTICE
from accord.plates import MAX_LENGTH

OPERATOR, END_USER = "1798.90.51(b)(2)", "1798.90.53(b)(2)"
"""Cal. Civ. Code: what the policies of an operator and of an end-user must hold."""

_FIGURE = re.compile(r"\d[\d,]*[ -](?:calendar |business )?(?:hour|day|week|month|year)s?\b", re.I)


@dataclass(frozen=True, slots=True)
class Item:
    """One key of ``[document]``: the letter of the statute that asks for it, and the question."""

    key: str
    letter: str
    question: str
    audits_only: bool = False

    @property
    def cite(self) -> str:
        """The statute that asks for it; "" where only the document itself does."""
        return cite(self.letter, end_user_only=self.audits_only) if self.letter else ""


ITEMS = (
    Item("agency_name", "", "What is the agency's full name?"),
    Item("adopted_by", "", "By whom is the policy adopted (the office, not the person)?"),
    Item("effective", "", "From which day is it in effect?"),
    Item("contact", "", "Whom does the public ask about it?"),
    Item("purposes", "A", "For what does the agency use the system and collect information?"),
    Item("job_titles", "B", "Which job titles may use the system or collect information?"),
    Item("contractors", "B", "Which independent contractors may, if any?"),
    Item("training", "B", "What training must they have had?"),
    Item("monitoring", "C", "How is use watched, for security and compliance with privacy law?"),
    Item("audits", "C", "Who audits use of the system, how often, and what follows?", True),
    Item("sharing_purposes", "D", "For what is information sold, shared or transferred?"),
    Item("sharing_process", "D", "By what process is that requested and decided?"),
    Item("sharing_restrictions", "D", "What restricts it?"),
    Item("custodian", "E", "Which office is the official custodian or owner, responsible for it?"),
    Item("accuracy", "F", "What reasonable measures keep the information accurate?"),
    Item("corrections", "F", "How is an error corrected?"),
    Item("destruction", "G", "How is it decided whether and when to destroy what is kept?"),
)
"""Everything the document needs in words, in its order."""


@dataclass(frozen=True, slots=True)
class Part:
    """One section: whose letter it answers, the agency's words, and what the node keeps."""

    letter: str
    title: str
    words: tuple[tuple[str, tuple[str, ...]], ...]
    facts: tuple[str, ...]
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    @property
    def cite(self) -> str:
        """The statute that the section answers."""
        return cite(self.letter)


@dataclass(frozen=True, slots=True)
class Document:
    """A complete policy, ready to be laid out. ``head`` is label and text."""

    title: str
    head: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]
    foot: str


def cite(letter: str, *, end_user_only: bool = False) -> str:
    """Return where the statute asks for a letter, such as ``E``."""
    where = f"{END_USER}({letter})"
    return f"Cal. Civ. Code {where if end_user_only else f'{OPERATOR}({letter}), {where}'}"


def missing(policy: Policy) -> tuple[Item, ...]:
    """Return what ``[document]`` has not answered."""
    return tuple(item for item in ITEMS if not getattr(policy.texts, item.key))


def exposures(policy: Policy) -> tuple[str, ...]:
    """Return the keys of ``[document]`` whose words hold what the policy withholds.

    A plate is found however it is spaced; cameras and cases letter by letter,
    upper or lower case.
    """
    withheld, found = policy.withhold, []
    names = [name.casefold() for name in (*withheld.cameras, *withheld.cases)]
    for key, text in _texts(policy.texts):
        folded = text.casefold()
        named = any(_holds(folded, name) for name in names)
        if named or not withheld.plates.isdisjoint(_plates(text)):
            found.append(key)
    return tuple(found)


def figures(policy: Policy) -> tuple[tuple[str, str], ...]:
    """Return key and figure of each span of time in the agency's words, such as ``30 days``.

    Nothing keeps the words to what the node does: a person must compare them.
    """
    said = _texts(policy.texts)
    return tuple((key, figure) for key, text in said for figure in _FIGURE.findall(text))


def document(policy: Policy, where: object) -> Document:
    """Return the document that a complete policy makes.

    Raises:
        InputError: the statute or the document misses a key, or the words
            hold what is withheld; ``where`` is the file.
    """
    lacking = missing(policy)
    if lacking:
        first = lacking[0]
        more = f", and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        asks = f" ({first.cite})" if first.cite else ""
        raise InputError(
            where,
            f"document.{first.key} is not answered{asks}{more}: an incomplete policy isn't printed",
            f"answer them: accord policy check {where} lists all",
        )
    exposed = exposures(policy)
    if exposed:
        raise InputError(
            where,
            f"document.{exposed[0]} holds a plate, camera or case that the policy withholds",
            "write it in other words",
        )
    texts = policy.texts
    head = (
        ("Agency", f"{texts.agency_name} ({policy.agency})"),
        ("Version", str(policy.version)),
        ("In effect from", f"{texts.effective:%Y-%m-%d}"),
        ("Adopted by", texts.adopted_by),
        ("Contact", texts.contact),
    )
    foot = (
        "Made from the policy that the agency's node enforces. What is marked as kept by the "
        "system is read off that policy, not written by hand. An agreement with another agency "
        "may allow less than this policy, and never more."
    )
    return Document("ALPR usage and privacy policy", head, tuple(_parts(policy)), foot)


def _parts(policy: Policy) -> Iterator[Part]:
    own, texts = policy.own, policy.texts
    allowed = ", ".join(sorted(_word(purpose) for purpose in own.purposes))
    never = ", ".join(_word(purpose) for purpose in PROHIBITED)
    yield Part(
        "A",
        "Purposes",
        (("", _paragraphs(texts.purposes)),),
        (
            f"An officer of this agency can search its information for: {allowed}. A search for "
            "anything else is refused.",
            f"No policy and no agreement can hold these purposes: {never}.",
            "What another agency holds can be searched only as a signed agreement with it allows.",
        ),
    )
    needs = [
        "The officer must be on the agency's roster, in good standing, and named there for the "
        "purpose of the search.",
        f"The officer's ALPR training must lie within the last {_days(own.training_within_days)}.",
    ]
    words = ["a case number"] * own.case_required + ["a reason in words"] * own.reason_required
    if words:
        needs.append(f"A search must bear {' and '.join(words)}.")
    yield Part(
        "B",
        "Who may use the system, and their training",
        (
            ("Employees", ("; ".join(texts.job_titles),)),
            ("Independent contractors", _paragraphs(texts.contractors)),
            ("Training", _paragraphs(texts.training)),
        ),
        tuple(needs),
    )
    rates = policy.rates
    yield Part(
        "C",
        "Monitoring and audits",
        (
            ("Monitoring", _paragraphs(texts.monitoring)),
            ("Audits", _paragraphs(texts.audits)),
        ),
        (
            "Each search is recorded before it is answered: date and time, what was searched for, "
            "the officer and the agency, and the purpose (Cal. Civ. Code 1798.90.52(a)).",
            f"One officer can ask {rates.officer_per_minute:,} times a minute and "
            f"{rates.officer_per_day:,} times a day, one agency {rates.agency_per_minute:,} times "
            "a minute.",
            f"A search reaches back {_days(own.look_back_days)} and gives {own.row_limit:,} "
            f"reads at once, at most. It names {_plates_at_once(own.plates_per_query)}.",
        ),
    )
    yield _sharing(policy)
    yield Part("E", "Official custodian", (("", (texts.custodian,)),), ())
    yield Part(
        "F",
        "Accuracy and correction of errors",
        (
            ("Accuracy", _paragraphs(texts.accuracy)),
            ("Corrections", _paragraphs(texts.corrections)),
        ),
        (f"Every answer is shown with this notice: {READ_NOTICE}",),
    )
    kept = policy.retention
    yield Part(
        "G",
        "Retention and destruction",
        (("", _paragraphs(texts.destruction)),),
        (
            f"Reads: {_days(kept.reads_days)} from capture.",
            f"Photos: {_days(min(kept.photos_days, kept.reads_days))} from capture."
            if kept.photos_days
            else "Photos: none are kept.",
            f"Hot lists: {_days(kept.hot_list_days)} from their publication.",
            f"Hits on hot lists: {_days(_hit_days(kept))} from the capture of their read.",
            "Where a law that binds the agency sets a shorter time, that time counts.",
            "What is due is found by no search from that moment on; the system then deletes it "
            "on a schedule.",
        ),
    )


def _hit_days(kept: RetentionDays) -> int:
    return kept.reads_days if kept.hits_days is None else min(kept.hits_days, kept.reads_days)


def _plates_at_once(count: int) -> str:
    return "one plate" if count == 1 else f"up to {count} plates"


def _sharing(policy: Policy) -> Part:
    texts, partners = policy.texts, sorted(policy.partners.values(), key=lambda rule: rule.agency)
    facts = [
        "Shared only with the agencies listed here, and only as far as an agreement that both "
        "signed and the law allow. The list says how this policy narrows that further."
        if partners
        else "Shared with no agency.",
        "Nothing can be sold: commerce is a purpose that no policy and no agreement can hold.",
        _withheld(policy),
    ]
    rows = []
    for rule in partners:
        purposes = "as agreed" if rule.purposes is None else _joined(rule.purposes)
        kinds = "as agreed" if rule.kinds is None else _joined(rule.kinds)
        back = "as agreed" if rule.look_back_days is None else _days(rule.look_back_days)
        most = "as agreed" if rule.row_limit is None else f"{rule.row_limit:,}"
        name = f"{rule.name} ({rule.agency})" if rule.name else rule.agency
        rows.append((name, purposes, kinds, back, most, _detail(rule)))
    columns = ("Agency", "Purposes", "Data", "Reach back, at most", "Reads at once", "Detail")
    return Part(
        "D",
        "Sale, sharing and transfer",
        (
            ("Purposes", _paragraphs(texts.sharing_purposes)),
            ("Process", _paragraphs(texts.sharing_process)),
            ("Restrictions", _paragraphs(texts.sharing_restrictions)),
        ),
        tuple(facts),
        columns if rows else (),
        tuple(rows),
    )


def _detail(rule: PartnerRule) -> str:
    """Return what the policy narrows of what is seen and of how it is asked, and no more."""
    seen, open_words = seen_words(rule.redaction), seen_words(OPEN)
    words = [word for word, wide in zip(seen, open_words, strict=True) if word != wide]
    if rule.hot_list_texts is not None:
        texts = " and ".join(sorted(rule.hot_list_texts))
        words.append(f"of a hot list's entry the {texts}" if texts else "of hot lists a hit alone")
    if rule.plates_per_query is not None:
        words.append(f"a search names {_plates_at_once(rule.plates_per_query)}")
    if rule.approval is not None:
        words.append(f"only with {approval_words(rule.approval)} written approval")
    if rule.export is not Export.FREE:
        kept = "no answer may leave the asking program"
        with_case = " without a case number" * (rule.export is Export.CASE_NUMBER)
        words.append(kept + with_case)
    return f"{', '.join(words)}; the rest as agreed" if words else "as agreed"


def _withheld(policy: Policy) -> str:
    held = policy.withhold
    counts = {
        "plate": len(held.plates),
        "camera": len(held.cameras),
        "area": len(held.areas),
        "case": len(held.cases),
    }
    said = [f"{n} {name}{'s' if n != 1 else ''}" for name, n in counts.items() if n]
    if not said:
        return "Of what is shared, nothing is withheld by name."
    return f"Withheld from every other agency: {', '.join(said)}."


def _word(purpose: str) -> str:
    return purpose.replace("-", " ")


def _joined(words: frozenset[str]) -> str:
    return ", ".join(sorted(map(_word, words)))


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count:,} days"


def _paragraphs(text: str) -> tuple[str, ...]:
    """Return the paragraphs of a text: a blank line parts them, a line break is a blank."""
    return tuple(" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())


def _texts(texts: Texts) -> Iterator[tuple[str, str]]:
    for field in fields(texts):
        value = getattr(texts, field.name)
        if value and field.name != "effective":
            yield field.name, value if isinstance(value, str) else "\n".join(value)


def _holds(folded: str, name: str) -> bool:
    """Tell whether a text names it: as a word of its own, so that case 1 isn't found in 2021."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", folded) is not None


def _plates(text: str) -> set[str]:
    """Return every run of neighbouring words that, put together, could be a plate."""
    words = [word.upper() for word in re.findall(r"[A-Za-z0-9]+", text)]
    found = set()
    for first in range(len(words)):
        joined = ""
        for word in words[first : first + MAX_LENGTH]:
            joined += word
            if len(joined) > MAX_LENGTH:
                break
            found.add(joined)
    return found
