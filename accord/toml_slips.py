"""What is wrong with a file that is no TOML, said so that its author can mend it. Pure.

Authors are counsel with a word processor: quotes curl, hyphens grow, blanks
stop breaking, commas and brackets go missing. The parser names a line and what
it expected; here the line is looked at again, and where a bracket or a quote
was never closed, the line that opened it is named.

No value and no key is ever repeated: a withheld plate may have come into either,
and what is said here is logged.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_AT = re.compile(r"\(at line (\d+), column (\d+)\)")
_QUOTED = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)
_HEADER = re.compile(r"\s*\[\[?\s*[\w.-]+\s*\]?\]?\s*")
_KEY = re.compile(r"\s*[\w-]+\s*=")
_CURLY = re.compile("[\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb]")
_DASH = re.compile("[\u2010-\u2015\u2212]")
_BLANK = re.compile("[\u00a0\u2000-\u200f\u202f\u2060\u3000\ufeff]")
_DEEP = 50
_YES_NO = 'write true or false; where a word belongs, "required" or such in quotes'


@dataclass(frozen=True, slots=True)
class Slip:
    """One slip: its line, what is wrong there, and what to do."""

    line: int
    problem: str
    remedy: str


def find_slip(text: str, said: str) -> Slip:
    """Return what is wrong with a text for which the parser said ``said``."""
    at = _Place(text, said)
    for rule in _RULES:
        if (slip := rule(at)) is not None:
            return slip
    return Slip(at.line, "can't be read", "correct that line")


def deep_line(text: str) -> int:
    """Return the line in which brackets are nested far too deeply; the last one otherwise."""
    depth = 0
    lines = _bare(text)
    for number, line in enumerate(lines, 1):
        for sign in line:
            depth += (sign in "[{") - (sign in "]}")
            if depth > _DEEP:
                return number
    return len(lines)


class _Place:
    """The text, and where in it the parser stopped."""

    def __init__(self, text: str, said: str) -> None:
        self.text = text
        self.said = said
        self.rows = text.split("\n")
        self.bare = _bare(text)
        found = _AT.search(said)
        filled = [number for number, row in enumerate(self.rows, 1) if row.strip()]
        self.line = int(found[1]) if found else (filled or [1])[-1]
        self.column = int(found[2]) if found else len(self.rows[self.line - 1]) + 1

    @property
    def rest(self) -> str:
        """What stands in the line from where the parser stopped."""
        return self.rows[self.line - 1][self.column - 1 :]

    @property
    def row(self) -> str:
        """The line without texts in quotes and remarks."""
        return self.bare[self.line - 1]


def _bare(text: str) -> list[str]:
    """Return the lines with each text in quotes as ``""``, and without remarks."""

    def stub(found: re.Match[str]) -> str:
        quoted = found[0]
        return "" if quoted.startswith("#") else '""' + "\n" * quoted.count("\n")

    return _QUOTED.sub(stub, text).split("\n")


def _old_ends(at: _Place) -> Slip | None:
    if "\r" not in at.text.replace("\r\n", ""):
        return None
    return Slip(at.line, "has line ends of an old kind", 'save it as "UTF-8" with LF or CRLF')


def _open_list(at: _Place) -> Slip | None:
    depth, opened = 0, 0
    for number, row in enumerate(at.bare, 1):
        starts = _HEADER.fullmatch(row) or _KEY.match(row)
        if depth and starts:
            break
        if not depth and _HEADER.fullmatch(row):
            continue
        count = row.count("[") - row.count("]")
        if not depth and count > 0:
            opened = number
        depth = max(0, depth + count)
    if not depth or opened > at.line:
        return None
    return Slip(opened, "has a list that is not closed", "write ] after its last value")


def _letters(at: _Place) -> Slip | None:
    for pattern, problem, remedy in (
        (_CURLY, "holds curly quotes", 'replace them with straight ones: "'),
        (_DASH, "holds a long dash where a key or a value stands", "write - or _ in its place"),
        (_BLANK, "holds an invisible blank", "remove it and type a plain blank"),
    ):
        if pattern.search(at.row):
            return Slip(at.line, problem, remedy)
    return None


def _twice(at: _Place) -> Slip | None:
    if not at.said.startswith(("Cannot declare", "Cannot overwrite", "Cannot mutate")):
        return None
    row = at.row.strip()
    header = row.startswith("[")
    name = row.strip("[] ") if header else row.split("=")[0].strip()
    first = next(_same(at, name, header=header), at.line)
    if not header:
        problem = f"holds a key again that stands in line {first} already"
        return Slip(at.line, problem, "remove one of them")
    problem = f"begins a section again that stands in line {first} already"
    return Slip(at.line, problem, "put them together, or write [[name]] where several may stand")


def _same(at: _Place, name: str, *, header: bool) -> Iterator[int]:
    """Yield the lines above that say the same: a key counts in its own section alone."""
    rows = at.bare[: at.line - 1]
    heads = [number for number, row in enumerate(rows, 1) if _HEADER.fullmatch(row)]
    begin = 0 if header or not heads else heads[-1]
    for number, row in enumerate(rows[begin:], begin + 1):
        said = row.strip().strip("[] ") if header else row.split("=")[0].strip()
        if said == name and row.strip().startswith("[") == header:
            yield number


def _header(at: _Place) -> Slip | None:
    if not at.said.startswith("Expected ']"):
        return None
    return Slip(
        at.line,
        "begins a section whose brackets don't close",
        "write [name], or [[name]] where several may stand; no blanks in the name",
    )


def _no_value(at: _Place) -> Slip | None:
    if not at.said.startswith(("Expected '='", "Invalid statement", "Invalid initial")):
        return None
    row = at.row.strip()
    if re.match(r"[\w-]+\s*:", row):
        return Slip(at.line, "has a colon after the key", "write = in its place")
    if re.match(r"[\w-]+(?: +[\w-]+)+ *=", row):
        return Slip(at.line, "has a key with blanks in it", "write _ in the place of each blank")
    if re.match(r'[\w-]+\s+(?:""|\[|\d)', row):
        return Slip(at.line, "has no = between key and value", "write one")
    return Slip(
        at.line, "is neither a key with its value nor a [section]", "write # before a remark"
    )


def _comma(at: _Place) -> Slip | None:
    if not at.said.startswith(("Unclosed array", "Unclosed inline")):
        return None
    before = at.rows[at.line - 1][: at.column - 1]
    line = at.line
    while not before.strip() and line > 1:
        line -= 1
        before = at.bare[line - 1]
    return Slip(line, "lacks a comma between two values of a list", "write , after the first")


def _open_quote(at: _Place) -> Slip | None:
    if at.said.startswith("Illegal character '\\n'"):
        return Slip(at.line, "has a quote that is not closed", 'write " at the end of the text')
    if at.said.startswith(("Unterminated string", "Expected '\"'")):
        opened = [n for n, row in enumerate(at.bare, 1) if '"""' in row or "'''" in row]
        line = opened[-1] if opened else at.line
        return Slip(line, "has a long text that is not closed", "write its three quotes again")
    return None


def _trailing(at: _Place) -> Slip | None:
    if not at.said.startswith("Expected newline"):
        return None
    value = at.row.partition("=")[2].strip()
    if re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b", value):
        return Slip(at.line, "has a date of another form", "write year-month-day: 2026-03-01")
    if re.match(r"\d{1,3}(?:,\d{3})+$", value):
        return Slip(at.line, "has a number with commas", "write its digits alone, such as 1000")
    if re.match(r'""\s*,', value):
        return Slip(at.line, "has a list without brackets", 'write ["first", "second"]')
    if re.match(r"\d+\s+\w", value):
        return Slip(at.line, "has a word after a number", "write the number alone, such as 30")
    if re.match(r"0\d", value):
        return Slip(at.line, "has a number that begins with 0", "leave the 0 out")
    remedy = 'remove it, or write # before it; a quote inside a text is written \\"'
    return Slip(at.line, "has something after its value", remedy)


def _value(at: _Place) -> Slip | None:
    if at.said.startswith("Invalid date"):
        return Slip(at.line, "has a date that no calendar has", "correct it: 2026-03-01")
    if not at.said.startswith("Invalid value"):
        return None
    word = re.match(r"[A-Za-z]*", at.rest)
    said = word[0].casefold() if word else ""
    if said in ("yes", "no", "on", "off", "true", "false"):
        problem = "has a yes or no that is not written true or false"
        return Slip(at.line, problem, _YES_NO)
    if not at.rest.strip():
        return Slip(at.line, "has no value after =", "write one, or remove the line")
    return Slip(at.line, "has a value that is no number and stands in no quotes", 'write it in "')


def _sign(at: _Place) -> Slip | None:
    if at.said.startswith("Unescaped"):
        return Slip(at.line, "has a backslash in a text", "write two of them: \\\\")
    if at.said.startswith("Illegal character"):
        return Slip(at.line, "holds a character that can't be seen", "type the line anew")
    return None


_RULES: tuple[Callable[[_Place], Slip | None], ...] = (
    _old_ends,
    _open_list,
    _letters,
    _twice,
    _header,
    _no_value,
    _comma,
    _open_quote,
    _trailing,
    _value,
    _sign,
)
