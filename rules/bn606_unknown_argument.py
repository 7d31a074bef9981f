"""An argument that the normalisation does not have.

## What it does

Reports a keyword that reaches a batch-norm function or layer of TensorFlow 1 or Keras — written at the call, in a
dictionary of normaliser parameters or in an argument scope — and that its signature does not contain. With Keras 3
that are also arguments which Keras 2 had: `fused`, `virtual_batch_size`, a list of axes, and a phase that is given to
the call of the layer by position.

## Why it is bad

The call raises `TypeError` (of Keras 3 often `ValueError`) as soon as the graph is built, often only on the path that
nobody has run yet.
Whoever makes it run by dropping the word loses what it was meant to say, such as
`updates_collections=None`.

## When it is not a bug

- A function of the program's own with that parameter, which only shares its name.
- Keywords that older versions had, such as `mode` and `beta_init` of Keras 1.
- What only Keras 3 refuses, in a program for Keras 2. Where the program does not say which of them it is for, such a
  finding is of the group `info`.

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

In a program for Keras 3, taking out `fused`, which only chooses a kernel, or an argument that is `None`, is safe; so is
writing `axis=[3]` as `axis=3`, and giving the phase by name.

## Confirmed by

`bnlint run`: the program ended with the `TypeError` that names the function and the argument, or the argument alone
if the call in that place gives it; of Keras 3 also the `ValueError`. What the function had in other versions is left
alone. In the call of a layer only Keras 2 says whose argument it was.

## Known limits

Only the signatures of TensorFlow 1's and Keras' own functions are checked. Of removed APIs only `tf.contrib` is
known, and only where the project's requirements give TensorFlow a lower bound. A layer of Keras is looked at where it
is called.

## References

- TensorFlow 1.15: the signatures of the functions named above.
- Keras 3.0 to 3.15 and tf-keras 2: `BatchNormalization`, its base class, and `Layer.__call__`.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bnlint.analyses.written import source
from bnlint.dataflow import Const, Guard, Node, Op
from bnlint.findings import (
    Applicability,
    Edit,
    Finding,
    Fix,
    Group,
    Location,
    NameArgument,
    RemoveArgument,
    RenameKeyword,
    ReplaceExpression,
    Step,
)
from bnlint.rule import Rule
from bnlint.trace import Argument, Arguments, NormCall, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_KERAS = "keras.layers.BatchNormalization"
_CLASSES = frozenset({"tf.layers.BatchNormalization", _KERAS})
_PHASES = frozenset({"training", "is_training", "is_train"})
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
    "keras.layers.BatchNormalization": "axis momentum epsilon center scale beta_initializer gamma_initializer "
    "moving_mean_initializer moving_variance_initializer beta_regularizer gamma_regularizer beta_constraint "
    "gamma_constraint trainable name dtype synchronized",
    "keras.layers.BatchNormalization.__call__": "inputs training mask",
}
"""The functions whose signatures are certain, with the parameters worth proposing."""
_MEANT = {
    "training": "is_training", "is_training": "training", "is_train": "is_training", "momentum": "decay",
    "decay": "momentum", "epsilon": "variance_epsilon", "scope": "name", "name": "scope", "eps": "epsilon",
    "beta_init": "beta_initializer", "gamma_init": "gamma_initializer",
}  # fmt: skip
"""What another API's word is called here."""
_ELSEWHERE = {
    "tf.layers.BatchNormalization": frozenset(
        "input_shape batch_input_shape batch_size weights dynamic autocast input_dim scope".split()
    ),
    "tf.contrib.layers.batch_norm": frozenset({"initializers", "regularizers"}),
    "tf.nn.batch_norm_with_global_normalization": frozenset({"input", "mean", "variance"}),
    "keras.layers.BatchNormalization": frozenset(
        "renorm renorm_clipping renorm_momentum input_shape input_dim activity_regularizer autocast "
        "experimental_autocast".split()
    ),
    "keras.layers.BatchNormalization.__call__": frozenset(),
}
"""Keywords that base classes take, or that other versions had."""
_KERAS_1 = frozenset({"mode", "beta_init", "gamma_init"})
"""What Keras 1 had, and Keras up to 2.3 took for its sake."""
_KERAS_2 = frozenset(
    "fused virtual_batch_size adjustment weights batch_input_shape batch_size dynamic implementation".split()
)
"""What Keras 2 has, and Keras 3 refuses."""
_WITHOUT_EFFECT = frozenset({"fused"})
"""What only chooses how the same thing is computed."""
_RAISED = re.compile(
    r"TypeError: (?:\w+\.)*?(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'"
)
"""What Python says about it: the function and the keyword."""
_RAISED_SOMEWHERE = re.compile(
    r"TypeError: (?:[Gg]ot an unexpected keyword argument|\('Keyword argument not understood:',) '(\w+)'"
)
"""What the operations of TensorFlow and the layers of Keras say about it: the keyword alone."""
_RAISED_BY_KERAS = re.compile(
    r"(?:ValueError: Unrecognized keyword arguments passed to BatchNormalization: \{|"
    r"TypeError: BatchNormalization\w*\.call\(\) got an unexpected keyword argument )'(\w+)'"
)
"""What Keras 3 says of the layer, and Keras 2 of its call."""
_BY_POSITION = re.compile(
    r"ValueError: Only input tensors may be passed as positional arguments\..*: (?:True|False) "
)


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
                found = next(iter(_unknown(call, arguments, trace).items()), None)
                if found is None or site in seen or found[1].site in seen:
                    continue
                word, argument = found
                seen |= {site, argument.site or site}
                meant = _nearest(_api(call, arguments), word, arguments)
                steps = [Step(argument.site, f"`{word}` is given here")] if argument.site else []
                function = call.layer.api.rpartition(".")[2]
                hint = f"; it is called `{meant}`" if meant else ""
                if arguments is call.layer.arguments and call.layer.api in _CLASSES and word in _PHASES:
                    hint = "; the phase is given to the call of the layer, as `training`"
                yield self.finding(
                    site,
                    f"`{function}` has no argument `{word}`{hint}: the call raises {_raised(call, arguments, trace)}",
                    (*steps, Step(site, f"and reaches `{call.layer.api}` here")),
                    _fix(argument, word, meant, trace),
                )
            for refused in _refused_by_keras_3(call, trace):
                if refused.site not in seen:
                    seen.add(refused.site)
                    yield self._of_keras_3(refused, trace)

    def _of_keras_3(self, refused: _Refused, trace: Trace) -> Finding:
        found = self.finding(
            refused.site,
            f"with Keras 3 {refused.because}",
            (Step(refused.argument.site or refused.site, refused.given),),
            refused.fix,
        )
        return found if trace.generations.get("keras") == 3 else dataclasses.replace(found, group=Group.INFO)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report the call that ended the program."""
        if observed.ended != "exception" or observed.error_site is None:
            return
        site = observed.error_site
        if _BY_POSITION.match(observed.error):
            yield self.finding(
                site,
                "the phase is passed to a layer by position: the call raised `ValueError`, which ended the program",
                (Step(site, "the flag arrived here"),),
            )
            return
        function, word = _refused(observed.error, site)
        apis = [api for api in _CHECKED if api.endswith(f".{function}")]
        if apis and not any(word in _CHECKED[api].split() or word in _ELSEWHERE.get(api, ()) for api in apis):
            name = function.rpartition(".")[2]
            error = observed.error.partition(":")[0]
            yield self.finding(
                site,
                f"`{name}` has no argument `{word}`: the call raised `{error}`, which ended the program",
                (Step(site, f"`{word}` arrived here"),),
            )


def _refused(error: str, site: Location) -> tuple[str, str]:
    """The function and the keyword of a call that raised ``TypeError``; empty if they are not known."""
    from bnlint.runtime.surroundings import call_at

    of_keras = _RAISED_BY_KERAS.match(error)
    if of_keras is not None:
        return "layers.BatchNormalization", of_keras.group(1)
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
        for word, given in arguments.named.items()
        if word not in _unknown(call, arguments, trace)
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


def _api(call: NormCall, arguments: Arguments) -> str:
    """Whose arguments they are: those of the layer, or of its call."""
    api = call.layer.api
    return f"{api}.__call__" if api == _KERAS and arguments is call.arguments else api


def _unknown(call: NormCall, arguments: Arguments, trace: Trace) -> Mapping[str, Argument]:
    """What is given and no generation of the API has."""
    api = _api(call, arguments)
    if api not in _CHECKED or any(map(_compares_classes, (*call.layer.guards, *call.guards))):
        return {}
    allowed = _ELSEWHERE.get(api, frozenset())
    given = arguments.unexpected
    if api == _KERAS:
        given = {**arguments.named, **arguments.unexpected}
        allowed |= {*_CHECKED[api].split(), *_KERAS_2, *(() if _after_keras_1(trace) else _KERAS_1)}
    return {word: argument for word, argument in given.items() if word not in allowed}


def _compares_classes(guard: Guard) -> bool:
    """Whether something holds only if a class or a function is one that is not known: then so are its parameters."""
    condition, outcome = guard
    return (
        outcome
        and isinstance(condition, Node)
        and condition.op == Op.EQUAL
        and not any(isinstance(each, Const) for each in condition.inputs)
    )


def _after_keras_1(trace: Trace) -> bool:
    """Whether the program is certainly for a Keras that knows nothing of Keras 1 any more."""
    lowest = tuple(int(part) for part in re.findall(r"\d+", trace.versions.get("keras", ""))[:2])
    return trace.generations.get("keras") == 3 or lowest >= (2, 4)


def _raised(call: NormCall, arguments: Arguments, trace: Trace) -> str:
    if _api(call, arguments) != _KERAS:
        return "`TypeError`"
    known = {2: "`TypeError`", 3: "`ValueError`"}
    return known.get(trace.generations.get("keras", 0), "an exception")


@dataclasses.dataclass(frozen=True, slots=True)
class _Refused:
    """An argument that is right in Keras 2 alone."""

    site: Location
    argument: Argument
    given: str
    because: str
    fix: Fix


def _refused_by_keras_3(call: NormCall, trace: Trace) -> Iterator[_Refused]:
    if call.layer.api != _KERAS or trace.generations.get("keras") == 2:
        return
    certain = trace.generations.get("keras") == 3
    given = {**call.layer.arguments.named, **call.layer.arguments.unexpected}
    for word, argument in given.items():
        if word in _KERAS_2:
            yield _Refused(
                call.layer.site,
                argument,
                f"`{word}` is given here",
                f"`BatchNormalization` has no argument `{word}`: the call raises `ValueError`",
                _left_out(word, argument, certain, trace),
            )
    axis = call.layer.arguments.named.get("axis")
    written = source(axis.site, trace) if axis else None
    listed = written.at(axis.site, ast.List) or written.at(axis.site, ast.Tuple) if axis and written else None
    if axis is not None and axis.site is not None and listed is not None:
        fix = Fix(Applicability.DISPLAY, "normalise along one axis, or reshape the input")
        if len(listed.elts) == 1 and not isinstance(listed.elts[0], ast.Starred):
            one = ast.unparse(listed.elts[0])
            fix = Fix(Applicability.SAFE, f"write `{one}`", (ReplaceExpression(axis.site, one),))
        yield _Refused(
            call.layer.site, axis, "a list of axes", "`axis` is one number: a list of axes raises `TypeError`", fix
        )  # fmt: skip
    phase = call.arguments.named.get("training")
    if phase is not None and "training" in call.arguments.positional and _is_flag(phase):
        edits = _named(call, phase, trace)
        if edits is not None:
            yield _Refused(
                call.site,
                phase,
                "this flag is given by position",
                "only tensors are passed by position: the phase there raises `ValueError`",
                Fix(Applicability.SAFE if edits else Applicability.DISPLAY, "pass it as `training`", edits),
            )


def _is_flag(argument: Argument) -> bool:
    return isinstance(argument.value, Const) and isinstance(argument.value.value, bool)


def _left_out(word: str, argument: Argument, certain: bool, trace: Trace) -> Fix:
    nothing = isinstance(argument.value, Const) and argument.value.value is None
    written = source(argument.site, trace)
    value = written.at(argument.site, ast.expr) if written else None
    holder = written.parent(value) if written and value else None
    if argument.site is None or not (nothing or word in _WITHOUT_EFFECT):
        return Fix(Applicability.DISPLAY, f"say without `{word}` what it is meant for")
    if not certain or not isinstance(holder, ast.keyword) or holder.arg != word:
        return Fix(Applicability.DISPLAY, f"leave `{word}` out")
    return Fix(Applicability.SAFE, f"leave `{word}` out", (RemoveArgument(argument.site),))


def _named(call: NormCall, phase: Argument, trace: Trace) -> tuple[Edit, ...] | None:
    """The edits that give the phase by name; None where a method of the layer is called, which takes it."""
    written = source(call.site, trace)
    node = written.at(call.site, ast.Call) if written else None
    if written is None or node is None or (isinstance(node.func, ast.Attribute) and node.func.attr == "call"):
        return None
    last = node.args[-1] if node.args else None
    if phase.site is None or last is None or written.locate(last) != phase.site:
        return ()
    return (NameArgument(phase.site, "training"),)


def _nearest(api: str, word: str, arguments: Arguments) -> str | None:
    parameters = [name for name in _CHECKED[api].split() if name not in arguments.named]
    meant = _MEANT.get(word)
    if meant in parameters:
        return meant
    close = difflib.get_close_matches(word, parameters, 1, 0.8)
    return close[0] if close else None
