"""A comment that suppresses a finding that is not there.

## What it does

Reports `# bnlint: ignore[...]` and `# bnlint: ignore-file[...]` comments of which nothing, or not every code, is
needed, and those that bnlint does not understand: a misspelt word, a code that no rule has.

## Why it is bad

The comment says that there is a bug which somebody has accepted. When the bug is gone, it misleads, and it hides
the next bug of its kind at this place. A comment with a mistake in it suppresses nothing.

## When it is not a bug

A comment for findings that only turn up elsewhere, such as with another version of a framework: name `BN003` in
it, too.

## Example

```python
optimizer = tf.train.AdamOptimizer(1e-3)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = optimizer.minimize(loss)  # bnlint: ignore[BN101] updates come later
```

## Use instead

```python
optimizer = tf.train.AdamOptimizer(1e-3)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = optimizer.minimize(loss)
```

## Fix safety

Safe: only the comment changes. Codes that suppress nothing are taken out of it, and where none is left, it goes. A
comment that is not understood is left to its author.

## Confirmed by

Nothing needs to run: the comment is compared with what the other rules find.

## Known limits

Only codes whose rules were asked about the file are called unused, and only if everything could be read and
analysed. `# noqa` comments are never reported, because other tools read them, too.

## References

- The Ruff documentation, rule RUF100: *unused-noqa*.
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.findings import Applicability, Finding, Fix, Group, ReplaceComment, UnusedSuppression
from bnlint.rule import Rule
from bnlint.trace import Trace


class UnusedSuppressionComment(Rule):
    """A comment that is not needed, or not understood."""

    code = "BN003"
    name = "unused-suppression"
    group = Group.WARNING
    fixable = (Applicability.SAFE,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each comment once."""
        for unused in trace.unused:
            yield self.finding(unused.location, _message(unused), fix=_fix(unused))


def _message(unused: UnusedSuppression) -> str:
    if unused.mistake:
        return unused.mistake.rstrip(".")
    if not unused.codes:
        return "this comment suppresses nothing"
    codes = " and ".join(unused.codes) if len(unused.codes) < 3 else ", ".join(unused.codes)
    return f"this comment suppresses nothing for {codes}"


def _fix(unused: UnusedSuppression) -> Fix | None:
    if unused.mistake:
        return None
    message = "take the codes out of the comment" if unused.rest else "remove the comment"
    return Fix(Applicability.SAFE, message, (ReplaceComment(unused.location, unused.rest),))
