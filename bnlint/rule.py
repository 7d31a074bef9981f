"""What a rule is (provisional)."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from bnlint.findings import Finding, Fix, Group, Location, Step

if TYPE_CHECKING:
    from bnlint.trace import Trace


class Rule(abc.ABC):
    code: ClassVar[str]
    name: ClassVar[str]
    group: ClassVar[Group]

    @abc.abstractmethod
    def check(self, trace: Trace) -> Iterator[Finding]: ...

    def finding(self, location: Location, message: str, steps: Sequence[Step] = (), fix: Fix | None = None) -> Finding:
        return Finding(self.code, self.name, self.group, location, message, tuple(steps), fix)
