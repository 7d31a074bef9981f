"""An argument that the normalisation does not have.

## What it does

Reports a keyword that reaches a batch-norm function or layer of TensorFlow 1 — written at the call, in a
dictionary of normaliser parameters or in an argument scope — and that its signature does not contain.

## Why it is bad

The call raises `TypeError` as soon as the graph is built, often only on the path that nobody has run yet.
Whoever makes it run by dropping the word loses what it was meant to say, such as
`updates_collections=None`.

## When it is not a bug

- A function of the program's own with that parameter, which only shares its name.
- Keywords that older versions had.

## Example

```python
params = {"is_training": is_training, "updates_collection": None}
x = slim.conv2d(x, 32, [3, 3], normalizer_fn=slim.batch_norm, normalizer_params=params)
```

## Use instead

```python
params = {"is_training": is_training, "updates_collections": None}
```

## Fix safety

The fix renames the argument where it is written, in the call, in a dictionary, or in an argument scope of this
function alone. It is safe where the word has one meaning: another API's word for the same thing, or a slip of a
letter or two. Without it the call cannot be made at all, so nothing that works can break. It is only shown
where the word also reaches functions that may know it, and where no parameter is near.

## Confirmed by

`bnlint run`: the program ended with the `TypeError` that names the function and the argument, or the argument alone
if the call in that place gives it. What the function had in other versions is left alone.

## Known limits

Only the signatures of TensorFlow 1's own functions are checked. Of removed APIs only `tf.contrib` is known, and
only where the project's requirements give TensorFlow a lower bound.

## References

- TensorFlow 1.15: the signatures of the functions named above.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.findings import (
    Applicability,
    Edit,
    Finding,
    Fix,
    Group,
    Location,
    RenameKeyword,
    ReplaceExpression,
    Step,
)
from bnlint.remedies.written import source
from bnlint.rule import Rule
from bnlint.trace import Argument, Arguments, NormCall, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_CHECKED = {
    "tf.layers.batch_normalization": "axis momentum epsilon center scale training trainable name reuse "
    "renorm fused",
    "tf.layers.BatchNormalization": "axis momentum epsilon center scale trainable name renorm fused",
    "tf.contrib.layers.batch_norm": "decay center scale epsilon activation_fn param_initializers "
    "param_regularizers updates_collections is_training reuse variables_collections outputs_collections "
    "trainable batch_weights fused data_format zero_debias_moving_mean scope renorm",
    "tf.nn.batch_normalization": "mean variance offset scale variance_epsilon name",
    "tf.nn.batch_norm_with_global_normalization": "t m v beta gamma variance_epsilon "
    "scale_after_normalization name",
    "tf.nn.fused_batch_norm": "scale offset mean variance epsilon data_format is_training name",
}
"""The functions whose signatures are certain, with the parameters worth proposing."""
_MEANT = {
    "training": "is_training", "is_training": "training", "is_train": "is_training", "momentum": "decay",
    "decay": "momentum", "epsilon": "variance_epsilon", "scope": "name", "name": "scope", "eps": "epsilon",
}  # fmt: skip
"""What another API's word is called here."""
_ELSEWHERE = {
    "tf.layers.BatchNormalization": frozenset(
        "input_shape batch_input_shape batch_size weights dynamic autocast input_dim scope".split()
    ),
    "tf.contrib.layers.batch_norm": frozenset({"initializers", "regularizers"}),
    "tf.nn.batch_norm_with_global_normalization": frozenset({"input", "mean", "variance"}),
}
"""Keywords that base classes take, or that other versions had."""
_RAISED = re.compile(
    r"TypeError: (?:\w+\.)*?(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'"
)
"""What Python says about it: the function and the keyword."""
_RAISED_SOMEWHERE = re.compile(
    r"TypeError: (?:Got an unexpected keyword argument|\('Keyword argument not understood:',) '(\w+)'"
)
"""What the operations of TensorFlow and the layers of Keras say about it: the keyword alone."""


class UnknownArgument(Rule):
    """A keyword that the API does not have."""

    code = "BN606"
    name = "unknown-argument"
    group = Group.ERROR
    fixable = (Applicability.SAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each wrong word once, at the first call that gets it."""
        seen: set[Location] = set()
        yield from _removed(self, trace)
        for call in trace.of(NormCall):
            for site, arguments in ((call.layer.site, call.layer.arguments), (call.site, call.arguments)):
                found = _unknown(call, arguments)
                if found is None or site in seen or found[1].site in seen:
                    continue
                word, argument = found
                seen |= {site, argument.site or site}
                meant = _nearest(call.layer.api, word, arguments)
                steps = [Step(argument.site, f"`{word}` is given here")] if argument.site else []
                function = call.layer.api.rpartition(".")[2]
                hint = f"; it is called `{meant}`" if meant else ""
                if call.layer.api == "tf.layers.BatchNormalization" and word in ("training", "is_training"):
                    hint = "; the phase is given to the call of the layer, as `training`"
                yield self.finding(
                    site,
                    f"`{function}` has no argument `{word}`{hint}: the call raises `TypeError`",
                    (*steps, Step(site, f"and reaches `{call.layer.api}` here")),
                    _fix(argument, word, meant, trace),
                )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report the call that ended the program."""
        if observed.ended != "exception" or observed.error_site is None:
            return
        function, word = _refused(observed.error, observed.error_site)
        apis = [api for api in _CHECKED if api.endswith(f".{function}")]
        if apis and not any(word in _CHECKED[api].split() or word in _ELSEWHERE.get(api, ()) for api in apis):
            name = function.rpartition(".")[2]
            yield self.finding(
                observed.error_site,
                f"`{name}` has no argument `{word}`: the call raised `TypeError`, which ended the program",
                (Step(observed.error_site, f"`{word}` arrived here"),),
            )


def _refused(error: str, site: Location) -> tuple[str, str]:
    """The function and the keyword of a call that raised ``TypeError``; empty if they are not known."""
    from bnlint.runtime.surroundings import call_at

    found = _RAISED.search(error)
    if found is not None:
        return found.group(1), found.group(2)
    found = _RAISED_SOMEWHERE.search(error)
    call = call_at(site) if found is not None else None
    if found is None or call is None or not any(each.arg in (found.group(1), None) for each in call.keywords):
        return "", ""
    # The module tells functions of one name from each other.
    return ".".join(ast.unparse(call.func).split(".")[-2:]), found.group(1)


def _fix(argument: Argument, word: str, meant: str | None, trace: Trace) -> Fix:
    if meant is None:
        return Fix(Applicability.DISPLAY, f"leave `{word}` out, or say it with a parameter that there is")
    edits = _renamed(argument, word, meant, trace)
    return Fix(Applicability.SAFE if edits else Applicability.DISPLAY, f"call it `{meant}`", edits)


def _renamed(argument: Argument, word: str, meant: str, trace: Trace) -> tuple[Edit, ...]:
    """The edit that renames an argument where it is written, if only functions get it that do not know it."""
    written = source(argument.site, trace)
    value = written.at(argument.site, ast.expr) if written else None
    holder = written.parent(value) if written and value else None
    if written is None or argument.site is None or _known_elsewhere(argument.site, trace):
        return ()
    if isinstance(holder, ast.Dict):
        index = next(index for index, item in enumerate(holder.values) if item is value)
        key = holder.keys[index]
        is_word = isinstance(key, ast.Constant) and key.value == word
        return (ReplaceExpression(written.locate(key), repr(meant)),) if key and is_word else ()
    called = written.parent(holder) if isinstance(holder, ast.keyword) and holder.arg == word else None
    if not isinstance(called, ast.Call) or (_is_scope(called) and not _for_one(called)):
        return ()
    return (RenameKeyword(written.locate(called), word, meant),)


def _known_elsewhere(site: Location, trace: Trace) -> bool:
    """Whether a normalisation gets the argument too and has a parameter of that name."""
    return any(
        given.site == site
        for call in trace.of(NormCall)
        for arguments in (call.arguments, call.layer.arguments)
        for given in arguments.named.values()
    )


def _is_scope(call: ast.Call) -> bool:
    return (
        call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    ) == "arg_scope"


def _for_one(scope: ast.Call) -> bool:
    """Whether an argument scope is one of a single function."""
    listed = scope.args[0] if scope.args else None
    return isinstance(listed, ast.List | ast.Tuple) and len(listed.elts) == 1


def _removed(rule: Rule, trace: Trace) -> Iterator[Finding]:
    """Layers of ``tf.contrib`` in a project that asks for a TensorFlow without it."""
    version = trace.versions.get("tensorflow", "")
    if not version.partition(".")[0].isdigit() or int(version.partition(".")[0]) < 2:
        return
    if trace.mentions("tf_slim") or not trace.mentions("contrib"):
        return
    places = {call.site: call for call in trace.of(NormCall) if call.layer.api.startswith("tf.contrib.")}
    for site in places:
        yield rule.finding(
            site,
            f"`tf.contrib` is not part of TensorFlow {version}, which the project requires: the call raises "
            "`AttributeError`",
            (Step(site, "the layer of `tf.contrib` is used here"),),
            Fix(Applicability.DISPLAY, "take the layer from `tf.layers`, or from the package `tf_slim`"),
        )


def _unknown(call: NormCall, arguments: Arguments) -> tuple[str, Argument] | None:
    api = call.layer.api
    if api not in _CHECKED:
        return None
    allowed = _ELSEWHERE.get(api, frozenset())
    return next(((word, found) for word, found in arguments.unexpected.items() if word not in allowed), None)


def _nearest(api: str, word: str, arguments: Arguments) -> str | None:
    parameters = [name for name in _CHECKED[api].split() if name not in arguments.named]
    meant = _MEANT.get(word)
    if meant in parameters:
        return meant
    close = difflib.get_close_matches(word, parameters, 1, 0.8)
    return close[0] if close else None
