"""How numbers, places and lists are written in all reports of the runtime checker."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bnlint.findings import Location
from bnlint.report._text import plain

__all__ = ["ABSENT", "average", "built_at", "count", "listed", "number", "plain", "sentence"]

ABSENT = "–"
"""For what was not measured."""
_MOST_IN_FULL = 1e7
"""Larger numbers are written with a power of ten."""


def number(value: float | None, digits: int = 3) -> str:
    """A number with a few digits: ``0.45``, ``1,200``, ``1.2e-07``, ``not a number``."""
    if value is None:
        return ABSENT
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    text = f"{value + 0.0:.{digits}g}"  # + 0.0: there is no minus zero
    return f"{float(text):,.0f}" if "e+" in text and abs(value) < _MOST_IN_FULL else text


def count(how_many: int, noun: str) -> str:
    """``1 step``, ``3,001 steps``."""
    return f"{how_many:,} {noun}" + ("" if how_many == 1 else "s")


def average(amount: float | None, digits: int = 4) -> str:
    """A measured share, rounded so that a declared one is recognised in it."""
    return number(None if amount is None else round(amount, digits), digits)


def built_at(location: Location | None) -> str:
    """``model.py:12``, in a notebook ``model.ipynb:cell 3:12``."""
    if location is None:
        return ABSENT
    cell = "" if location.cell is None else f"cell {location.cell}:"
    return plain(f"{location.path}:{cell}{location.line}")


def listed(items: Sequence[str], most: int = 4) -> str:
    """``a, b and c``; of many only the first."""
    shown = list(items)
    if len(shown) > most:
        shown = [*shown[: most - 1], f"{len(shown) - most + 1:,} more"]
    return " and ".join([*filter(None, [", ".join(shown[:-1])]), shown[-1]]) if shown else ""


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")
