"""Source that cannot be read, so that nobody knows what is in it.

## What it does

Reports a file, or a statement of a file, that belongs to a program with normalisation and could not be decoded or
parsed, neither as Python 3 nor as Python 2.

## Why it is bad

What cannot be read is not checked. A broken statement is left out and the rest of the file is analysed; a broken
file is left out as a whole.

## When it is not a bug

Templates and deliberately broken files: exclude them.

## Example

```python
model = build(
print("training"
```

## Use instead

```python
model = build()
print("training")
```

## Fix safety

There is no fix.

## Confirmed by

Nothing needs to run: the interpreter of the language rejects the file.

## Known limits

Files without words of normalisation or training are never parsed, so their errors are not seen.

## References

- The Python Language Reference, chapter 2: *Lexical analysis*.
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.findings import Finding, Group, Location
from bnlint.rule import Rule
from bnlint.trace import Trace


class UnreadableSource(Rule):
    """A file or statement that cannot be read."""

    code = "BN001"
    name = "unreadable-source"
    group = Group.WARNING

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each problem at its line."""
        for problem in trace.problems:
            place = Location(problem.path, problem.line, 1, problem.line, 1)
            yield self.finding(place, problem.message.rstrip("."))
