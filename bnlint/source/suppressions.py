"""The comments that suppress findings: ``# bnlint: ignore[CODES] reason``, ``ignore-file``, and ``# noqa: CODES``."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bnlint.findings import Location, Silencer, Suppression, UnusedSuppression
from bnlint.source.module import Module
from bnlint.source.tokens import pieces

UNUSED = "BN003"
"""Unused suppressions are themselves suppressed by nothing but their full code: everything else would hide that
it is of no use."""

_MARKED = re.compile(r"bnlint:|noqa", re.IGNORECASE)
_BNLINT = re.compile(r"#+\s*bnlint:\s*(?P<body>.*?)\s*(?=\s#(?!\d)|$)")
_BODY = re.compile(r"ignore(?P<file>-file)?(?:\s*\[(?P<codes>[^\]]*)\](?P<after>.*)|(?P<reason>|\s.*))$")
_CODE = re.compile(r"[A-Z]+[0-9]*$", re.IGNORECASE)
_FULL_CODE = re.compile(r"\b[A-Z]+[0-9]+\b", re.IGNORECASE)
_NOQA = re.compile(
    r"#+\s*noqa\s*:\s*(?P<codes>[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*)\s*(?P<reason>.*?)\s*(?=\s#(?!\d)|$)",
    re.IGNORECASE,
)


class Standing(NamedTuple):
    """What is known of a rule when the comments that name it are judged."""

    asked: bool
    """Whether it was asked about the file, and could answer."""
    usual: bool
    """Whether it is on where the user says nothing."""


@dataclass(slots=True)
class Directive:
    """A part of a comment that suppresses findings.

    ``codes`` are beginnings of codes; without any, every code is meant. ``span`` is where the directive is in the
    text of its comment.
    """

    location: Location
    codes: tuple[str, ...]
    reason: str
    span: tuple[int, int]
    noqa: bool = False
    whole_file: bool = False
    mistake: str = ""
    """What is wrong with it, in a sentence; then it suppresses nothing."""
    used: set[str] = field(default_factory=set)

    def names(self, code: str) -> str | None:
        """The beginning in it that suppresses a rule's finding; empty if every code is meant."""
        if self.mistake:
            return None
        if code == UNUSED:
            return code if code in self.codes else None
        if not self.codes:
            return ""
        return max((start for start in self.codes if code.startswith(start)), key=len, default=None)


@dataclass(frozen=True, slots=True)
class _Comment:
    """A comment: its line in the text, and where it is in its file."""

    line: int
    text: str
    location: Location
    alone: bool
    """Whether it has its line for itself."""


class Comments:
    """The suppressing comments of one file, and which of them were of use."""

    def __init__(self, module: Module) -> None:
        self._directives: list[tuple[_Comment, list[Directive]]] = []
        self._by_line: dict[int, list[Directive]] = {}
        self._above: dict[int, list[Directive]] = {}
        self._whole_file: list[Directive] = []
        self._module = module
        if any(map(_MARKED.search, module.source)):
            self._read(list(_comments(module)))

    def silence(self, code: str, location: Location, statement: tuple[int, int]) -> Suppression | None:
        """The comment that suppresses a rule's finding; it counts as used from now on.

        ``statement`` are the first and the last line of the statement around the finding, in its cell.
        """
        for directive in self.at(location, statement):
            named = directive.names(code)
            if named is not None:
                directive.used.add(named)
                return Suppression(Silencer.COMMENT, directive.location, directive.reason)
        return None

    def at(self, location: Location, statement: tuple[int, int]) -> Iterator[Directive]:
        """The directives that speak of a place, nearest first."""
        line = self._module.line_of(location)
        shift = line - location.line
        lines = dict.fromkeys((line, statement[0] + shift))
        ends = (location.end_line + shift,) if location.end_line <= statement[1] else ()
        for number in dict.fromkeys((*lines, *ends)):
            yield from self._by_line.get(number, ())
        for number in lines:
            yield from self._above.get(number, ())
        yield from self._whole_file

    def unused(self, rules: Mapping[str, Standing]) -> Iterator[UnusedSuppression]:
        """The comments that suppressed nothing, and those that are not understood; never ``noqa``.

        ``rules`` are all rules that there are, by code.
        """
        for comment, directives in self._directives:
            vain: list[str] = []
            mistakes: list[str] = []
            rest = comment.text
            found = False
            # From the end, so that the places of the others stay right.
            for directive in reversed(directives):
                if directive.noqa:
                    continue
                if directive.mistake:
                    mistakes.append(directive.mistake)
                    continue
                unknown = [code for code in directive.codes if not _any_begins(rules, code)]
                mistakes += [_no_rule(code, rules) for code in unknown]
                mine = [code for code in directive.codes or ("",) if _in_vain(code, directive, rules)]
                if mine:
                    found = True
                    vain += filter(None, reversed(mine))
                    rest = _without(rest, directive, set(mine))
            if found or mistakes:
                yield UnusedSuppression(
                    comment.location, tuple(reversed(vain)), rest, " ".join(reversed(mistakes))
                )

    def _read(self, comments: Sequence[_Comment]) -> None:
        alone = {comment.line for comment in comments if comment.alone}
        for comment in comments:
            directives = list(_directives(comment))
            if not directives:
                continue
            self._directives.append((comment, directives))
            for directive in directives:
                if directive.whole_file:
                    self._whole_file.append(directive)
                elif not comment.alone:
                    self._by_line.setdefault(comment.line, []).append(directive)
                elif not directive.noqa:
                    for line in self._reach(comment, alone):
                        self._above.setdefault(line, []).append(directive)

    def _reach(self, comment: _Comment, alone: Container[int]) -> Iterator[int]:
        """The lines that a comment above a statement speaks of: also the comments between the two."""
        line = comment.line
        yield line
        while line in alone and self._module.place(line + 1, 1, 1).cell == comment.location.cell:
            line += 1
            yield line


def _comments(module: Module) -> Iterator[_Comment]:
    """The comments of a file that may hold a directive or stand between one and its statement."""
    # What is not Python in a notebook is not in the text; elsewhere the text may lack broken statements.
    lines = module.text.split("\n") if module.cells else module.source
    starts = [start - 1 for start, _ in module.cells] or [0]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        line = start + 1
        for piece in pieces("\n".join(lines[start:end])):
            if piece.kind == "comment":
                source = module.source[line - 1]
                column = source.rfind(piece.text)
                if column >= 0:
                    text = piece.text.rstrip()
                    place = module.place(line, column + 1, column + 1 + len(text))
                    yield _Comment(line, text, place, not source[:column].strip())
            line += piece.text.count("\n")


def _directives(comment: _Comment) -> Iterator[Directive]:
    """The directives in a comment, in order."""
    found = [_directive(match, comment) for match in _BNLINT.finditer(comment.text)]
    for match in _NOQA.finditer(comment.text):
        codes = _codes(match["codes"])
        reason = match["reason"].lstrip("-: ")
        found.append(Directive(comment.location, codes, reason, _span(match), noqa=True))
    return iter(sorted(found, key=lambda directive: directive.span))


def _directive(match: re.Match[str], comment: _Comment) -> Directive:
    body = _BODY.match(match["body"])
    directive = Directive(comment.location, (), "", _span(match))
    if body is None:
        directive.mistake = _not_understood(match["body"])
        return directive
    directive.reason = (body["after"] or body["reason"] or "").lstrip("-: \t").rstrip()
    directive.whole_file = bool(body["file"])
    if body["codes"] is None:
        first = directive.reason.partition(" ")[0].strip(",")
        if _FULL_CODE.fullmatch(first):
            directive.mistake = _not_understood(match["body"])
    else:
        directive.codes = _codes(body["codes"])
        wrong = [code for code in directive.codes if not _CODE.match(code)]
        if wrong or not directive.codes:
            directive.mistake = _not_understood(match["body"])
    if directive.whole_file and not comment.alone:
        directive.mistake = "`ignore-file` only counts on a line of its own. Move it there."
    return directive


def _span(match: re.Match[str]) -> tuple[int, int]:
    return match.start(), match.start() + len(match.group().rstrip())


def _not_understood(body: str) -> str:
    verb = "ignore-file" if re.match(r"\w+[-_ ]?file", body, re.IGNORECASE) else "ignore"
    codes = ", ".join(dict.fromkeys(code.upper() for code in _FULL_CODE.findall(body)))
    return f"bnlint does not understand this comment. Write `# bnlint: {verb}[{codes or 'CODE'}] reason`."


def _codes(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, re.split(r"[\s,]+", text.upper()))))


def _any_begins(rules: Iterable[str], start: str) -> bool:
    return any(code.startswith(start) for code in rules)


def _no_rule(code: str, rules: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(code, rules, 1)
    return f"There is no rule {code}." + (f" Did you mean {close[0]}?" if close else "")


def _in_vain(start: str, directive: Directive, rules: Mapping[str, Standing]) -> bool:
    """Whether it is certain that a beginning of codes in a directive suppresses nothing."""
    if start in directive.used or start == UNUSED:
        return False
    meant = [standing for code, standing in rules.items() if code.startswith(start) and code != UNUSED]
    if start in rules:
        return rules[start].asked
    # Of many rules some are off anyway, and nobody writes the comment because of them.
    return any(rule.asked for rule in meant) and all(rule.asked for rule in meant if rule.usual)


def _without(text: str, directive: Directive, vain: set[str]) -> str:
    """A comment without the codes of one of its directives that are in vain, empty if nothing is left."""
    start, end = directive.span
    kept = [code for code in directive.codes if code not in vain]
    if kept:
        old = text[start:end]
        opening, closing = old.index("["), old.index("]")
        return f"{text[:start]}{old[: opening + 1]}{', '.join(kept)}{old[closing:]}{text[end:]}"
    left = f"{text[:start].rstrip()}  {text[end:].strip()}".strip()
    return left if left.strip("# ") else ""
