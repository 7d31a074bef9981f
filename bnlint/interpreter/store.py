"""State that can be tried and taken back, and joined after a branch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnlint.dataflow import Choice, Const, Guards, Unknown, Value
from bnlint.interpreter.values import Mutable, Scope

MISSING: Any = object()
"""In a slot: nothing is there."""

MOST_OPTIONS = 16
"""A choice of more alternatives than this is no longer worth keeping apart."""

MOST_POSITIONS = 64
"""Sequences that differ in more positions than this are not compared item by item."""

Mark = tuple[Mutable, Any]
Written = dict[Mark, Any]
"""What a branch wrote: the new content of each slot."""


Change = tuple[Mark, Any, Any]
"""What is written, the old content and the new one."""


class Watch:
    """What stood in the slots that were written since a branch left early."""

    __slots__ = ("before", "begun")

    def __init__(self) -> None:
        self.before: Written = {}
        self.begun = Mutable.clock + 1
        """The clock when it began: what is made later was not there for the branch that left."""


class Store:
    """All writes go through here, so that a branch can be undone."""

    __slots__ = ("_begun", "_journals", "_noted", "_watches")

    def __init__(self) -> None:
        self._journals: list[Written] = []
        self._begun: list[int] = []
        """The clock when each open branch began."""
        self._watches: list[Watch] = []
        self._noted: list[Written] = []
        """What stood in the slots of objects that were written while something is noted."""

    def watch(self) -> Watch:
        """Begin to note what is overwritten."""
        watch = Watch()
        Mutable.clock += 1
        self._watches.append(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        """Stop noting."""
        if watch in self._watches:
            self._watches.remove(watch)

    def write(self, holder: Mutable, key: Any, content: Any) -> None:
        """Set a slot, or clear it with MISSING."""
        slots = holder.slots
        if self._begun and holder.born < self._begun[-1]:
            self._journals[-1].setdefault((holder, key), slots.get(key, MISSING))
        for watch in self._watches:
            if holder.born < watch.begun:
                watch.before.setdefault((holder, key), slots.get(key, MISSING))
        if self._noted and not isinstance(holder, Scope):
            self._noted[-1].setdefault((holder, key), slots.get(key, MISSING))
        if content is MISSING:
            slots.pop(key, None)
        else:
            slots[key] = content

    def open(self) -> None:
        """Begin a branch. What is made inside it needs no undoing: nobody outside has seen it."""
        Mutable.clock += 1
        self._journals.append({})
        self._begun.append(Mutable.clock)

    def take_back(self) -> Written:
        """End a branch: undo its writes and return them."""
        self._begun.pop()
        before = self._journals.pop()
        written = {(holder, key): holder.slots.get(key, MISSING) for holder, key in before}
        for (holder, key), content in before.items():
            if content is MISSING:
                holder.slots.pop(key, None)
            else:
                holder.slots[key] = content
        return written

    def noting(self, work: Callable[[], object]) -> list[Change]:
        """Do something; returns what it changed in objects, except for what parts of it note by themselves."""
        self._noted.append({})
        try:
            work()
        finally:
            noted = self._noted.pop()
        changes = ((mark, before, mark[0].slots.get(mark[1], MISSING)) for mark, before in noted.items())
        return [change for change in changes if change[1] is not change[2]]

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


def optional(value: Any) -> Guards:
    """The guards under which the content of a slot is there at all; none when it always is."""
    if isinstance(value, Choice) and len(value.options) == 1:
        return value.options[0][0]
    return ()


def otherwise(value: Choice, default: Value) -> Value:
    """What is optional, or else a default."""
    guards, option = value.options[0]
    others = ((guards[0][0], not guards[0][1]),) if len(guards) == 1 else ()
    return choice([(guards, option), (others, default)])


def _merged_items(options: list[tuple[Guards, Any]]) -> tuple[Any, ...]:
    """Sequences that differ: the common beginning, then what only some branches have, marked as optional."""
    first: tuple[Any, ...] = options[0][1]
    common = min(_common(first, items) for _, items in options[1:]) if len(options) > 1 else len(first)
    rests = [(guards, items[common:]) for guards, items in options]
    if len({len(rest) for _, rest in rests}) == 1 and len(rests[0][1]) <= MOST_POSITIONS:
        aligned = (
            merged([(guards, rest[index]) for guards, rest in rests]) for index in range(len(rests[0][1]))
        )
        return (*first[:common], *aligned)
    optional = [
        Choice(((guards, item),))
        if guards and isinstance(item, Value) and not isinstance(item, Choice)
        else item
        for guards, rest in rests
        for item in rest
    ]
    return (*first[:common], *optional)


def _common(one: tuple[Any, ...], other: tuple[Any, ...]) -> int:
    """How many items two sequences have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
