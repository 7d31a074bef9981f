"""State that can be tried and taken back, and joined after a branch."""

from __future__ import annotations

from typing import Any

from bnlint.dataflow import Choice, Const, Guards, Unknown, Value
from bnlint.interpreter.values import Mutable

MISSING: Any = object()
"""In a slot: nothing is there."""

MOST_OPTIONS = 8
"""A choice of more alternatives than this is no longer worth keeping apart."""

Mark = tuple[Mutable, Any]
Written = dict[Mark, Any]
"""What a branch wrote: the new content of each slot."""


class Store:
    """All writes go through here, so that a branch can be undone."""

    __slots__ = ("_journals",)

    def __init__(self) -> None:
        self._journals: list[Written] = []

    def write(self, holder: Mutable, key: Any, content: Any) -> None:
        """Set a slot, or clear it with MISSING."""
        slots = holder.slots
        if self._journals:
            self._journals[-1].setdefault((holder, key), slots.get(key, MISSING))
        if content is MISSING:
            slots.pop(key, None)
        else:
            slots[key] = content

    def open(self) -> None:
        """Begin a branch."""
        self._journals.append({})

    def take_back(self) -> Written:
        """End a branch: undo its writes and return them."""
        before = self._journals.pop()
        written = {(holder, key): holder.slots.get(key, MISSING) for holder, key in before}
        for (holder, key), content in before.items():
            if content is MISSING:
                holder.slots.pop(key, None)
            else:
                holder.slots[key] = content
        return written

    def apply(self, written: Written) -> None:
        """Write what a branch had written."""
        for (holder, key), content in written.items():
            self.write(holder, key, content)

    def join(self, branches: list[tuple[Guards, Written]]) -> None:
        """Merge alternative branches, each with the guards under which it was taken."""
        if len(branches) == 1:
            self.apply(branches[0][1])
            return
        marks: dict[Mark, None] = {}
        for _, written in branches:
            marks.update(dict.fromkeys(written))
        for mark in marks:
            holder, key = mark
            before = holder.slots.get(key, MISSING)
            options = [(guards, written.get(mark, before)) for guards, written in branches]
            self.write(holder, key, merged(options))


def merged(options: list[tuple[Guards, Any]]) -> Any:
    """The content of a slot that differs between branches."""
    first = options[0][1]
    if all(content is first for _, content in options[1:]):
        return first
    present = [(guards, content) for guards, content in options if content is not MISSING]
    if not present:
        return MISSING
    if all(isinstance(content, Value) for _, content in present):
        return choice(present)
    if all(isinstance(content, tuple) for _, content in present):
        return _merged_items(present)
    return any(content for _, content in present) if isinstance(present[0][1], bool) else present[-1][1]


def choice(options: list[tuple[Guards, Value]]) -> Value:
    """One value out of alternatives; equal ones fall together."""
    flat: list[tuple[Guards, Value]] = []
    for guards, value in options:
        inner = value.options if isinstance(value, Choice) else (((), value),)
        for more, option in inner:
            combined = guards + tuple(guard for guard in more if guard not in guards)
            if not any((condition, not outcome) in combined for condition, outcome in combined):
                flat.append((combined, option))
    distinct: list[tuple[Guards, Value]] = []
    for guards, value in flat:
        for index, (others, known) in enumerate(distinct):
            if known is value or (
                isinstance(known, Const)
                and isinstance(value, Const)
                and type(known.value) is type(value.value)
                and known.value == value.value
            ):
                distinct[index] = (tuple(guard for guard in others if guard in guards), known)
                break
        else:
            distinct.append((guards, value))
    if len(distinct) == 1 and not (len(options) == 1 and distinct[0][0]):
        return distinct[0][1]
    if not distinct:
        return options[0][1]
    if len(distinct) > MOST_OPTIONS:
        return Unknown("", tuple(value for _, value in distinct))
    return Choice(tuple(distinct))


def _merged_items(options: list[tuple[Guards, Any]]) -> tuple[Any, ...]:
    """Sequences that differ: the common beginning, then what only some branches have, marked as optional."""
    if len({len(items) for _, items in options}) == 1:
        return tuple(
            merged([(guards, items[index]) for guards, items in options])
            for index in range(len(options[0][1]))
        )
    common = 0
    shortest = min(len(items) for _, items in options)
    while common < shortest and all(items[common] is options[0][1][common] for _, items in options):
        common += 1
    rest: list[Any] = []
    for guards, items in options:
        for item in items[common:]:
            optional = isinstance(item, Value) and not isinstance(item, Choice) and guards
            rest.append(Choice(((guards, item),)) if optional else item)
    return (*options[0][1][:common], *rest)
