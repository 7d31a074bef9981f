"""Variable scopes, name scopes, templates and argument scopes."""

from __future__ import annotations

from bnlint.dataflow import Const, Unknown, Value
from bnlint.findings import Location
from bnlint.frameworks.tensorflow1.state import (
    ScopedArguments,
    VariableScope,
    close_scope,
    joined,
    open_scope,
    pop_arguments,
    push_arguments,
    scope,
    state,
    unique_name,
    unique_scope,
)
from bnlint.frameworks.tensorflow1.table import PROPERTIES, handles, text
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    NONE,
    ApiObject,
    ApiRef,
    Call,
    Function,
    List,
    Method,
    Tuple,
)

# -- scopes ------------------------------------------------------------------------------------------


def reuse_of(machine: Machine, value: Value | None) -> tuple[bool | None, bool]:
    """Whether a ``reuse`` argument shares variables (None: not known), and whether it is AUTO_REUSE."""
    if value is None:
        return False, False
    value = machine.settle(value)
    if isinstance(value, ApiRef) and value.name.endswith("AUTO_REUSE"):
        return True, True
    return machine.truth(value), False


@handles("tf.variable_scope", "tf.variable_op_scope", "slim.variable_scope")
def _variable_scope(machine: Machine, call: Call) -> Value:
    given = machine.settle(call.get(0, "name_or_scope") or NONE)
    default = text(machine, call.get(1, "default_name"))
    reuse, auto = reuse_of(machine, call.kwargs.get("reuse"))
    return variable_scope(machine, given, default, reuse, auto, call.site)


def variable_scope(
    machine: Machine, given: Value, default: str | None, reuse: bool | None, auto: bool, site: Location
) -> ApiObject:
    """A variable scope to enter: by name, by scope object, or by default name."""
    entered: list[tuple[str | None, bool]] = []

    def enter() -> Value:
        current = state(machine)
        outer = current.scopes[-1]
        absolute = given.slots.get("scope") if isinstance(given, ApiObject) else None
        by_name = not isinstance(absolute, VariableScope)
        if isinstance(absolute, VariableScope):
            full: str | None = absolute.name
            inherited = absolute
            last = (absolute.name or "").rpartition("/")[2] or None
        else:
            inherited = outer
            last = text(machine, given)
            if last is None and machine.truth(given) is False and default is not None:
                last = unique_scope(machine, default)
            full = joined(outer.name, last)
            if machine.truth(given) is False and default is None:
                full = outer.name
        shares = True if inherited.reuse or outer.reuse else reuse
        if by_name:
            open_scope(machine, full)
        entered.append((full, by_name))
        current.scopes.append(VariableScope(full, shares, auto or (outer.auto and not reuse)))
        current.names.append(unique_name(machine, last) if last else current.names[-1])
        made = ApiObject("tf.VariableScope", site)
        made.slots["scope"] = current.scopes[-1]
        return made

    def leave() -> None:
        full, by_name = entered.pop()
        if by_name:
            close_scope(machine, full)
        state(machine).scopes.pop()
        state(machine).names.pop()

    made = ApiObject("tf.variable_scope", site, enter, leave)
    return made


def layer_scope(machine: Machine, given: Value | None, default: str) -> str | None:
    """The full variable scope of a layer; None when its name is not known."""
    value = machine.settle(given or NONE)
    if isinstance(value, ApiObject):
        absolute = value.slots.get("scope")
        return absolute.name if isinstance(absolute, VariableScope) else None
    name = text(machine, value)
    if name is None:
        if machine.truth(value) is not False:
            return None
        name = unique_scope(machine, default)
    return joined(scope(machine).name, name)


@handles("tf.get_variable_scope")
def _get_scope(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.VariableScope", call.site)
    made.slots["scope"] = scope(machine)
    return made


def _scope_name(machine: Machine, call: Call) -> Value:
    of = call.receiver.slots.get("scope") if isinstance(call.receiver, ApiObject) else None
    name = of.name if isinstance(of, VariableScope) else None
    return Unknown("name") if name is None else Const(name)


PROPERTIES["tf.VariableScope.name"] = _scope_name


@handles("tf.VariableScope.reuse_variables")
def _reuse_variables(machine: Machine, call: Call) -> Value:
    current = state(machine)
    current.scopes[-1] = VariableScope(current.scopes[-1].name, True)
    return NONE


@handles("tf.name_scope", "tf.op_scope", "tf.Graph.name_scope")
def _name_scope(machine: Machine, call: Call) -> Value:
    name = text(machine, call.get(0, "name"))

    def enter() -> Value:
        current = state(machine)
        current.names.append(unique_name(machine, name))
        return Const(current.names[-1] + "/") if current.names[-1] else Unknown("scope")

    return ApiObject("tf.name_scope", call.site, enter, lambda: _pop_name(machine))


def _pop_name(machine: Machine) -> None:
    state(machine).names.pop()


@handles("tf.make_template")
def _template(machine: Machine, call: Call) -> Value:
    name = text(machine, call.get(0, "name_")) or "template"
    function = call.get(1, "func_") or Unknown()
    made = ApiObject("tf.Template", call.site)
    made.slots["function"] = function
    made.slots["given"] = dict(call.kwargs)
    made.slots["scope"] = VariableScope(joined(scope(machine).name, unique_scope(machine, name)), True, True)
    return made


@handles("tf.Template.__call__")
def _call_template(machine: Machine, call: Call) -> Value:
    template = call.receiver
    assert isinstance(template, ApiObject)
    manager = variable_scope(machine, template, None, True, True, call.site)
    assert manager.enter is not None and manager.leave is not None
    full = template.slots["scope"].name
    close_scope(machine, full)
    manager.enter()
    try:
        given = {**template.slots["given"], **call.kwargs}
        return machine.call(template.slots["function"], call.args, given, call.site)
    finally:
        manager.leave()
        close_scope(machine, full)


# -- argument scopes ---------------------------------------------------------------------------------


def scope_key(value: Value) -> object:
    """What identifies a function in an argument scope."""
    if isinstance(value, ApiRef):
        return value.name
    if isinstance(value, Function):
        return value.node
    if isinstance(value, Method) and isinstance(value.function, Function):
        return value.function.node
    return value


@handles("slim.arg_scope")
def _arg_scope(machine: Machine, call: Call) -> Value:
    given = machine.settle(call.get(0, "list_ops_or_scope") or Unknown())
    known = given.slots.get("arguments") if isinstance(given, ApiObject) else None
    unknown = known is None and not isinstance(given, List | Tuple)
    made = ApiObject("slim.arg_scope", call.site)

    def enter() -> Value:
        present = state(machine).arguments[-1]
        if isinstance(known, dict):
            scoped: ScopedArguments = known
        else:
            scoped = {key: dict(values) for key, values in present.items()}
            for function in given.items if isinstance(given, List | Tuple) else ():
                mine = scoped.setdefault(scope_key(machine.settle(function)), {})
                for name, value in call.kwargs.items():
                    mine[name] = (value, call.sites.get(name))
        push_arguments(machine, scoped, open=unknown or call.open)
        made.slots["arguments"] = scoped
        return made if not unknown else given

    made.enter = enter
    made.leave = lambda: pop_arguments(machine, open=unknown or call.open)
    return made


def scoped_arguments(machine: Machine, key: object) -> dict[str, tuple[Value, object]]:
    """What the open argument scopes add to a function."""
    return state(machine).arguments[-1].get(key, {})  # type: ignore[return-value]


def with_scoped(machine: Machine, function: Function, call: Call) -> Call:
    """A call of a project's function that takes part in argument scopes."""
    scoped = scoped_arguments(machine, function.node)
    names = [argument.arg for argument in function.node.args.args][: len(call.args)]
    added = {n: v for n, (v, _) in scoped.items() if n not in call.kwargs and n not in names}
    if not added and not state(machine).arguments_open:
        return call
    kwargs = {**added, **call.kwargs}
    return Call(
        call.args, kwargs, call.site, sites=call.sites, open=call.open or state(machine).arguments_open > 0
    )
