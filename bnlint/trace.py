"""What a program does that matters to batch normalisation: the vocabulary between interpreter and rules.

The events are framework-neutral. Whoever makes them (an interpreter of source code, an observer of a
running program), a rule sees the same trace.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bnlint.dataflow import Context, Execution, Guards, Node, Value, World, execution
from bnlint.findings import Location, Problem, UnusedSuppression
from bnlint.walk import walk


class Updates(enum.Enum):
    """Who moves a layer's statistics in training mode."""

    COLLECTED = "collected"
    """Operations in a collection; somebody must run them."""
    IN_PLACE = "in place"
    """The layer itself, whenever its output is computed."""
    ATTRIBUTE = "attribute"
    """Operations that hang on the layer object (Keras in graph mode); only the Keras trainer runs them."""
    RETURNED = "returned"
    """The call returns new state that the program must store (JAX)."""
    BY_HAND = "by hand"
    """Operations that the program itself wrote around a bare normalisation."""
    NONE = "none"
    """Nobody: the layer is frozen, or has no statistics."""


class Origin(enum.Enum):
    """How a normalisation learns its phase."""

    ARGUMENT = "argument"
    """Given at the call."""
    SCOPE = "scope"
    """Set by an argument scope or by the parameters of a normaliser."""
    DEFAULT = "default"
    """The API's default."""
    CONTEXT = "context"
    """Handed down by an enclosing call or a global learning phase."""
    MODE = "mode"
    """State of a module (``train()`` and ``eval()``)."""
    NONE = "none"
    """There is no switch: a bare formula."""


@dataclass(eq=False, slots=True)
class Argument:
    """One argument as it arrived: its value, and where it is written."""

    value: Value
    site: Location | None


@dataclass(eq=False, slots=True)
class Arguments:
    """The arguments of an API call, by parameter name."""

    named: dict[str, Argument] = field(default_factory=dict)
    """Everything that could be bound, including what argument scopes add."""
    positional: tuple[str, ...] = ()
    """The parameters that were given by position, in order."""
    unexpected: dict[str, Argument] = field(default_factory=dict)
    """Keywords that the API does not have."""
    open: bool = False
    """Whether there may be more (``**kwargs`` that are not known)."""

    def value(self, name: str) -> Value | None:
        """The value given for a parameter, or None."""
        argument = self.named.get(name)
        return argument.value if argument else None

    def site(self, name: str) -> Location | None:
        """Where a parameter's value is written."""
        argument = self.named.get(name)
        return argument.site if argument else None


@dataclass(eq=False, slots=True)
class Made:
    """With what a layer was made that is not a normalisation: ``attrs["made"]`` of the nodes that it makes."""

    site: Location
    arguments: Arguments
    data_format: Value | None
    """Where it expects the channels; None if neither its arguments nor the program say so."""
    wrapper: str = ""
    """The layer that applies it, if that is another one (``keras.layers.TimeDistributed``)."""
    input_shape: tuple[int | None, ...] | None = None
    """The shape of one example, if it is told; None for sizes that are not known."""


@dataclass(eq=False, slots=True)
class Event:
    """Something that happens, where, and when."""

    context: Context
    order: int
    """Counts all events and nodes of the program."""

    @property
    def site(self) -> Location:
        """The place in the source."""
        return self.context.site

    @property
    def guards(self) -> Guards:
        """The conditions under which it happens."""
        return self.context.guards


@dataclass(eq=False, slots=True)
class NormLayer(Event):
    """The state of one normalisation: its statistics, shared by every call of the layer."""

    api: str
    """Canonical name of the API that made it."""
    framework: str
    name: str | None
    """Full name of its variables' scope; None when not known."""
    graph: object = None
    arguments: Arguments = field(default_factory=Arguments)
    """Construction arguments: momentum, epsilon, axis, trainable, …"""
    trainable: Value | None = None
    weights: tuple[Node, ...] = ()
    """What the optimizer changes, gamma and beta, where the layer itself is known by them."""
    pretrained: bool = False
    """Whether it starts from weights that were trained elsewhere."""
    owner: Value | None = None
    """The layer as an object of the program, by which it can be frozen."""
    strategy: str = ""
    """The API of the strategy for several replicas in whose scope it was made; empty if that is not so for sure."""


@dataclass(eq=False, slots=True)
class NormCall(Event):
    """One application of a normalisation."""

    layer: NormLayer
    input: Value
    output: Node
    phase: Value | None
    """Training if true; None when the call has no switch."""
    origin: Origin
    updates: Updates
    update_nodes: tuple[Node, ...] = ()
    collection: str | None = None
    """The collection that the update operations went to."""
    arguments: Arguments = field(default_factory=Arguments)
    via: str = ""
    """The layer API through which a normaliser was called (``tf.contrib.layers.conv2d``)."""
    mean: Value | None = None
    variance: Value | None = None
    """For a bare formula: the statistics that it uses."""
    forward: Forward | None = None
    """The call of a model, or of a layer on its own, in which it happens, where a call hands the phase down."""
    told: Value | None = None
    """The phase that it is given, where a frozen layer does not heed it."""
    dtype: Value | None = None
    """The type that the layer's numbers were given (``float16``); None if they were given none."""
    single: bool = False
    """Whether an example certainly has one value for each channel, as vectors and pooled maps have."""

    def training(self, world: World) -> bool | None:
        """Whether it normalises with batch statistics in a world; None when not known."""
        return None if self.phase is None else world.truth(self.phase)


@dataclass(eq=False, slots=True)
class TrainStep(Event):
    """An operation, or a moment, in which an optimizer changes weights."""

    node: Node
    api: str
    loss: Value | None
    variables: Value | None
    """The given list of variables; None means all trainable ones."""
    runs_updates: bool = False
    """Whether the API runs the collected updates by itself."""
    listed: tuple[Node, ...] | None = None
    """The variables of the given list; None when there is no list or not all of it is known."""
    eager: bool = False
    """Whether it happens where it is written, rather than when a run asks for it."""
    partial: bool = False
    """Whether there may be more variables than those that are listed."""


@dataclass(eq=False, slots=True)
class CollectUpdates(Event):
    """A collection of update operations is read."""

    collection: str
    scope: Value | None
    result: Value
    contents: tuple[Node, ...]
    """What it held at that time, after the scope filter."""
    graph: object = None
    live: bool = False
    """Whether what is added later appears in the result too."""


class Declared(enum.Enum):
    """A phase that an API declares (``Estimator.train``, ``fit``, ``evaluate``)."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    PREDICT = "predict"


@dataclass(eq=False, slots=True)
class Feed:
    """One entry of a feed: what is fed, with which value, and where the value is written."""

    key: Value
    value: Value
    site: Location
    text: str = ""
    """How the value is written."""


@dataclass(eq=False, slots=True)
class Run(Event):
    """The program computes something: a session run, an estimator call, an eager step."""

    api: str
    fetches: tuple[Value, ...]
    feeds: tuple[Feed, ...] = ()
    feeds_known: bool = True
    """False when the feed, or a part of it, is not known."""
    declared: Declared | None = None
    graph: object = None
    target: Value | None = None
    """The model that runs, where a model is told to."""
    forward: Forward | None = None
    """The call that is all of this run, in an eager framework."""
    said: tuple[str, str] | None = None
    """A variable around it that is named for the phase, and the text that it holds."""

    def world(self) -> World:
        """What holds during the run."""
        return World(self.context.guards, {feed.key: feed.value for feed in self.feeds})

    def execution(self) -> Execution:
        """What the run executes."""
        return execution(self.fetches, self.world())


@dataclass(eq=False, slots=True)
class ModeSwitch(Event):
    """A module, or everything, is put into a phase (``eval()``, ``set_learning_phase``)."""

    target: Value | None
    """None for a global switch."""
    training: Value
    api: str = ""
    parts: dict[Value, None] = field(default_factory=dict)
    """The modules that it reaches, where each has a mode of its own."""
    drops: bool = False
    """Whether dropout is among them."""


@dataclass(eq=False, slots=True)
class IdleSwitch(Event):
    """What is written to put a model into a phase, and does not, or not all of it."""

    target: Value
    written: str
    """The name in question (``eval``, ``train``, ``training``)."""
    training: bool
    """The phase that is meant."""
    assigned: bool
    """Whether the name is assigned to; else it is named, and not called."""
    parts: dict[Value, None] = field(default_factory=dict)
    """The modules that were to be reached, and are not."""


@dataclass(eq=False, slots=True)
class OwnSwitch(Event):
    """A model is made whose class has a ``train()`` or ``eval()`` of its own: what ``eval()`` does to that model."""

    target: Value
    definition: ast.FunctionDef
    locate: Callable[[ast.AST], Location]
    """Where a part of the definition is written."""
    returns: Value
    switched: bool
    """Whether it changes the mode of anything, or says so."""
    reached: dict[Value, None] = field(default_factory=dict)
    """The modules inside that it takes out of training mode, or finds so."""
    left: dict[Value, None] = field(default_factory=dict)
    """The modules inside that it certainly leaves in training mode."""


@dataclass(eq=False, slots=True)
class Forward(Event):
    """A model is called, or a layer on its own; calls inside that call are part of it."""

    target: Value
    inputs: tuple[Value, ...]
    training: Value | None = None
    """The phase that is given at the call; None when none is."""
    accepts: bool | None = None
    """Whether the model's own ``call`` takes a phase; None when that is not known."""
    symbolic: bool = False
    """Whether it only describes a model, on inputs that stand for data."""
    driver: Value | None = None
    """The phase that a trainer (``fit``, ``evaluate``) has in mind for it; None in a call of the program's own."""
    output: Value | None = None
    norms: list[NormCall] = field(default_factory=list)
    """The normalisations in it, in order."""


@dataclass(eq=False, slots=True)
class Overruled(Event):
    """A phase that was given to a part of a model when it was described, and that a trainer's phase replaces."""

    given: Value
    phase: Value
    norms: tuple[NormCall, ...]
    """The normalisations that it was meant for."""
    forward: Forward | None = None


@dataclass(eq=False, slots=True)
class Traced(Event):
    """A call of a function that a framework executes once, to keep what it computes (``tf.function``)."""

    definition: ast.AST
    graph: object
    """The same for calls that run what was kept of the first one: as far as is known, which leaves out the sizes of
    tensors."""


@dataclass(eq=False, slots=True)
class Compile(Event):
    """A model is made ready for training by a trainer, which takes note of what is trainable."""

    target: Value
    trainable: dict[Value, Value] = field(default_factory=dict)
    """Whether each of its parts is trainable now."""
    at_once: bool | None = False
    """Whether the trainer looks again at every step (``run_eagerly``); None when that is not known."""


@dataclass(eq=False, slots=True)
class Freeze(Event):
    """Weights are made trainable or not."""

    target: Value
    trainable: Value
    parts: tuple[Value, ...] = ()
    """The layers that this is about, as objects of the program: the target, and all that it has now."""
    infers: bool | None = False
    """Whether that puts normalisations into inference mode; None when it depends on what is not known."""


@dataclass(eq=False, slots=True)
class Hidden(Event):
    """An attribute is set on an object that takes the place of a method of its class."""

    target: Value
    name: str
    function: ast.AST
    definition: Location


@dataclass(eq=False, slots=True)
class Copy(Event):
    """State is copied or averaged from one model into another."""

    source: Value
    target: Value
    statistics: bool
    """Whether the moving statistics are part of it."""
    weights: bool = True
    """Whether what an optimizer learned is part of it, that of the normalisations too."""
    averaged: bool = False
    """Whether the target has the average of the weights of several times, and the statistics of the last one."""
    variance: Value | None = None
    """What is written as the moving variance, where that is computed."""
    read_from: tuple[NormLayer, ...] = ()
    """The normalisations of the source."""
    written_to: tuple[NormLayer, ...] = ()
    """The normalisations of the target."""


@dataclass(eq=False, slots=True)
class Unregistered(Event):
    """A model is called and uses layers that are no part of it: they are kept in a plain list of one of its modules."""

    holder: Value
    """The module that has the list."""
    attribute: str
    """What the list is called there."""
    item: Value
    """The module in the list."""
    calls: tuple[NormCall, ...]
    """The calls of its layers."""


@dataclass(eq=False, slots=True)
class Reset(Event):
    """Moving statistics are set back to what they begin with."""

    layers: tuple[NormLayer, ...]
    api: str


class Saved(enum.Enum):
    """Which variables a checkpoint holds."""

    ALL = "all"
    TRAINABLE = "trainable"
    LISTED = "listed"
    UNKNOWN = "unknown"


@dataclass(eq=False, slots=True)
class Save(Event):
    """A checkpoint writer is made; ``saves`` and ``restores`` list the places that use it."""

    scope: Saved
    variables: Value | None
    saves: list[Context] = field(default_factory=list)
    restores: list[Context] = field(default_factory=list)
    graph: object = None
    arguments: Arguments = field(default_factory=Arguments)
    listed: tuple[Node, ...] | None = None
    """The variables of the given list; None when there is no list or not all of it is known."""
    weights_of: tuple[NormLayer, ...] = ()
    """The normalisations whose learned weights are certainly written to it, in frameworks that save values."""
    statistics_of: tuple[NormLayer, ...] = ()
    """The normalisations whose moving statistics may be written to it, or read from it, likewise."""


@dataclass(eq=False, slots=True)
class Export(Event):
    """A model is frozen or exported for inference."""

    api: str
    outputs: tuple[Value, ...]
    """What is exported; empty when the names are all that is known: then it is the whole graph."""
    graph: object = None


EventT = TypeVar("EventT", bound=Event)


@dataclass(slots=True)
class Trace:
    """All that was seen of one program."""

    entry: str
    """Display path of the entry."""
    files: tuple[str, ...] = ()
    """Display paths of the modules that were read."""
    driven: bool = True
    """False when functions were interpreted on their own: nobody knows what their callers do."""
    imported: bool = True
    """Whether other programs of the project use the entry's module too, as far as that is known."""
    incomplete: str = ""
    """Why the analysis stopped early, or empty."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """The lowest version of each library that the project allows, where it says so."""
    ceilings: Mapping[str, str] = field(default_factory=dict)
    """The highest one, or the first that it does not allow, where it says so."""
    problems: tuple[Problem, ...] = ()
    """What could not be read of the files."""
    unused: tuple[UnusedSuppression, ...] = ()
    """Comments that suppress nothing."""
    trees: tuple[ast.AST, ...] = ()
    """The syntax trees of the files, where there are any."""
    generations: dict[str, int] = field(default_factory=dict)
    """For frameworks whose generations disagree about a call: which one the program is written for, if known."""
    events: list[Event] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    rounds: dict[Location, int | None] = field(default_factory=dict)
    """How often the ``for`` loops go round at most; None when that is not known."""
    hooks: set[ast.AST] = field(default_factory=set)
    """Methods that were interpreted on their own, of classes that derive from one of a library which is not known: it
    may call them, and knows for what."""
    escaped: set[Value] = field(default_factory=set)
    """Values handed to code that is not known."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Answers worked out once for all rules."""

    def mentions(self, word: str) -> bool:
        """Whether a name or a text occurs anywhere in the program: evidence of what the trace may have missed.

        Comments do not count; a text in the code counts when it is exactly the word.
        """
        return any(has_word(tree, word) for tree in self.trees)

    def of(self, kind: type[EventT]) -> Iterator[EventT]:
        """The events of a kind, in order."""
        return (event for event in self.events if isinstance(event, kind))


def has_word(tree: ast.AST, word: str) -> bool:
    """Whether a name or a text occurs in a file."""
    return word in _words(tree)


def _words(tree: ast.AST) -> frozenset[object]:
    """The names and texts in a syntax tree; kept on the tree, which many programs share."""
    found: frozenset[object] | None = getattr(tree, "_bnlint_words", None)
    if found is None:
        words: set[object] = set()
        for node in walk(tree):
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.Name):
                words.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 80:
                words.add(node.value)
            elif isinstance(node, ast.alias):
                words.add(node.name.rpartition(".")[2])
        found = frozenset(words)
        tree._bnlint_words = found  # type: ignore[attr-defined]
    return found
