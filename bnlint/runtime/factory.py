"""``bnlint verify package.module:build``: make the model in a child process with limits, and verify it there.

The child writes what it found to a file. What the user's code prints goes to standard error, so that standard output
holds the report alone.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import bnlint
from bnlint.errors import UserError
from bnlint.runtime.oracle import Verification
from bnlint.runtime.sites import Sites, is_of_the_user

_MODULES = {
    "keras": ("tensorflow", "keras"),
    "tf-keras": ("tensorflow", "tf_keras"),
    "tensorflow": ("tensorflow",),
    "pytorch": ("torch",),
}
_LOOK = 0.1
"""Seconds between two looks at the child."""
_START = (
    "import sys; sys.path[:1] = sys.path[1:1] if sys.path[:1] == [''] else sys.path[:1]; "
    "sys.path.append(sys.argv.pop(1)); from bnlint.runtime.factory import child; child(sys.argv.pop(1))"
)
"""Not ``-m``: that would put the current folder first on the path before bnlint is imported."""
_SEED = 20_150_211
_MEAN, _DEVIATION = 0.8, 1.7
"""Of the probe batch that is made up: neither 0 nor 1, so that statistics nobody learned look wrong."""


@dataclass(slots=True)
class Order:
    """What to verify."""

    target: str
    """``package.module:function``."""
    inputs: list[str] = field(default_factory=list)
    """Shapes as ``8x32x32x3``, ``name=8x10`` or ``8x10:int32``."""
    framework: str | None = None
    npz: str | None = None
    checkpoint: str | None = None
    timeout: float | None = None
    """Seconds."""
    memory: float | None = None
    """GiB; None: nine tenths of what the machine has."""


def verify_factory(order: Order, progress: Callable[[str], None] | None = None) -> Verification:
    """Verify the model that a factory makes, in a process of its own.

    Raises UserError if it cannot be done.
    """
    if os.name != "posix":
        raise UserError("`bnlint verify` needs Linux or macOS: it ends the model's process as a group.")
    _parse_target(order.target)
    for shape in order.inputs:
        parse_input(shape)
    if order.inputs and order.npz:
        raise UserError("Give the probe batch by --input or by --npz, not by both.")
    for path, what in ((order.npz, "data"),):
        if path is not None and not os.path.isfile(path):
            raise UserError(f"There is no file {path} with {what}. Check the path.")
    with tempfile.TemporaryDirectory(prefix="bnlint-verify-", ignore_cleanup_errors=True) as folder:
        plan, told, temporary = (Path(folder) / name for name in ("plan.json", "told.json", "tmp"))
        temporary.mkdir()
        plan.write_text(json.dumps({"order": asdict(order), "told": str(told)}), "utf-8")
        root = os.path.dirname(os.path.dirname(os.path.abspath(bnlint.__file__)))
        environment = {**os.environ, "TMPDIR": str(temporary)}
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if order.framework == "tf-keras":
            environment["TF_USE_LEGACY_KERAS"] = "1"
        process = subprocess.Popen(
            [sys.executable, "-c", _START, root, str(plan)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr if _has_file(sys.stderr) else subprocess.DEVNULL,
            start_new_session=True,
        )
        ended = _wait(process, order, progress)
        return _outcome(told, ended, process.returncode, order)


def _wait(process: subprocess.Popen[bytes], order: Order, progress: Callable[[str], None] | None) -> str:
    from bnlint.runtime.script import limits

    begin = time.monotonic()
    most = int(order.memory * 2**30) if order.memory else int(limits.physical_memory() * 0.9)
    watch = most > 0 and limits.can_watch_memory()
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK)
                return ""
            spent = time.monotonic() - begin
            if progress is not None:
                progress(f"verifying {order.target}: {spent:.0f} s")
            if order.timeout and spent > order.timeout:
                return "timeout"
            if watch and limits.memory_of(process.pid) > most:
                return "memory"
    finally:
        # Also after Ctrl-C, and what the model's code left running goes with it.
        if limits.alive(process.pid):
            limits.end(process.pid, signal.SIGKILL)
        process.wait()


def _outcome(told: Path, ended: str, code: int, order: Order) -> Verification:
    from bnlint.runtime.script.journal import from_plain

    if ended == "timeout":
        raise UserError(
            f"{order.target} was not verified within {order.timeout:g} seconds. Give it more with --timeout, or a "
            "smaller --input."
        )
    if ended == "memory":
        raise UserError(
            f"{order.target} needs more memory than it may use. Raise --memory, or give a smaller --input."
        )
    try:
        said = json.loads(told.read_text("utf-8"))
    except FileNotFoundError:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise UserError(
            f"The process that made the model of {order.target} ended with {how} before it was verified. Run the "
            "factory by itself to see why."
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"What was found of {order.target} cannot be read ({type(error).__name__}): is the disk of the temporary "
            "folder full?"
        ) from error
    if said.get("refused"):
        raise UserError(said["refused"])
    verification = from_plain(said["verification"], Verification)
    assert isinstance(verification, Verification)
    return verification


def child(plan: str) -> None:
    """What the child process does."""
    from bnlint.runtime.script.journal import to_plain

    job = json.loads(Path(plan).read_text("utf-8"))
    order = Order(**job["order"])
    told: dict[str, Any]
    try:
        told = {"verification": to_plain(_verify(order))}
    except UserError as error:
        told = {"refused": str(error)}
    except MemoryError:
        told = {"refused": f"{order.target} needs more memory than there is. Give a smaller --input."}
    beside = Path(f"{job['told']}.new")
    beside.write_text(json.dumps(told), "utf-8")
    beside.replace(job["told"])
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that the model's code left running would keep the process.
    os._exit(0)


def _verify(order: Order) -> Verification:
    from bnlint.runtime.verify import examine, make_subject

    if order.framework is not None:
        _need(order.framework)
    sys.path.insert(0, os.getcwd())
    factory = _factory(order.target)
    sites = Sites()
    with sites:
        model = _call(factory, order.target)
    inputs, targets = _batch(order, model)
    if order.checkpoint:
        _load(model, order.checkpoint, inputs)
    subject = make_subject(model, inputs, targets=targets, factory=lambda: _call(factory, order.target))
    verification = examine(subject)
    sites.tell(subject, verification)
    return verification


def _need(framework: str) -> None:
    from bnlint.runtime.exceptions import short

    extra = "pytorch" if framework == "pytorch" else "runtime"
    for name in _MODULES[framework]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(
                f"Verifying a model needs {name.replace('_', '-')}, which cannot be imported here. Install it with: "
                f'pip install "bnlint[{extra}]"'
            ) from error
        except Exception as error:  # a framework may refuse its own configuration
            raise UserError(f"{name.replace('_', '-')} cannot be imported: {short(error)}.") from error


def _parse_target(target: str) -> tuple[str, str]:
    module, colon, name = target.partition(":")
    names = [*module.split("."), *name.split(".")]
    if not colon or not all(part.isidentifier() for part in names):
        raise UserError(
            f"{target} does not name a function that makes a model. Write package.module:function, such as "
            "project.models:build_model."
        )
    return module, name


def _factory(target: str) -> Callable[[], Any]:
    from bnlint.runtime.exceptions import short

    module, name = _parse_target(target)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        wanted = error.name or ""
        if module == wanted or module.startswith(f"{wanted}."):
            raise UserError(
                f"There is no module {wanted} (looked in {os.getcwd()} and where Python's packages are). Run from the "
                "project's folder, or check the name."
            ) from error
        raise UserError(
            f"The module {module} cannot be imported: it needs {wanted}, which is not installed."
        ) from error
    except (Exception, SystemExit) as error:
        raise UserError(f"The module {module} cannot be imported: {short(error)}{_where(error)}.") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise UserError(f"The module {module} has no {name}.{_similar(part, dir(found))}")
        found = getattr(found, part)
    if not callable(found):
        raise UserError(f"{target} is a {type(found).__name__}, not a function that makes a model.")
    return found  # type: ignore[no-any-return]


def _similar(name: str, known: Sequence[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, [each for each in known if not each.startswith("_")], 1)
    return f" Did you mean {close[0]}?" if close else ""


def _call(factory: Callable[[], Any], target: str) -> Any:
    from bnlint.runtime.exceptions import short

    if _is_model(factory):
        # An object that is a model already, made when its module was imported.
        return factory
    try:
        model = factory()
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise UserError(
                f"{target} cannot be called without arguments ({error}). Name a function that needs none."
            ) from error
        raise UserError(f"{target} raised {short(error)}{_where(error)}.") from error
    except (Exception, SystemExit) as error:
        raise UserError(f"{target} raised {short(error)}{_where(error)}.") from error
    if not _is_model(model):
        raise UserError(
            f"{target} returned {_what(model)}, which is not a model. It must return a Keras model, a tf.Module or "
            "a torch.nn.Module."
        )
    return model


def _is_model(thing: Any) -> bool:
    from bnlint.runtime.backends.parts import is_model_part
    from bnlint.runtime.backends.pytorch.parts import is_module

    return is_model_part(thing) or is_module(thing)


def _what(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "None" if value is None else f"a {type(value).__name__}"


def _where(error: BaseException) -> str:
    """The innermost line of the user's own code."""
    place, found = error.__traceback__, ""
    while place is not None:
        path = place.tb_frame.f_code.co_filename
        if is_of_the_user(path):
            found = f" ({os.path.relpath(path)}:{place.tb_lineno})"
        place = place.tb_next
    return found


def parse_input(text: str) -> tuple[str, tuple[int, ...], str]:
    """The name, shape and dtype of ``name=8x32x32x3:float32``; name and dtype may be left out. Raises UserError."""
    name, _, rest = text.rpartition("=")
    shape, _, dtype = rest.partition(":")
    try:
        sizes = tuple(int(part) for part in shape.lower().split("x"))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise UserError(f"--input {text} is not a shape. Write the sizes, samples first, as in 8x32x32x3.")
    if dtype and dtype not in ("float16", "float32", "float64", "int32", "int64", "bool"):
        raise UserError(f"--input {text}: data of the type {dtype} cannot be made up; float32 or int32 can.")
    return name, sizes, dtype


def _batch(order: Order, model: Any) -> tuple[Any, Any]:
    """The probe batch and its targets: from the file, of the given shapes, or of those that the model takes."""
    if order.npz:
        return _from_file(order.npz, model)
    wanted = [parse_input(text) for text in order.inputs]
    if not wanted:
        wanted = _wanted(model, order.target)
    named = {name: (shape, dtype) for name, shape, dtype in wanted if name}
    kinds = [_dtype(model, number) for number in range(len(wanted))]
    if named and len(named) != len(wanted):
        raise UserError("Either every --input has a name (name=8x32x32x3) or none has.")
    made = [
        _made_up(shape, dtype or kinds[number], number) for number, (_, shape, dtype) in enumerate(wanted)
    ]
    if named:
        return dict(zip(named, made, strict=True)), None
    return (made if len(made) > 1 else made[0]), None


def _wanted(model: Any, target: str) -> list[tuple[str, tuple[int, ...], str]]:
    try:
        inputs = list(getattr(model, "inputs", None) or [])
    except (AttributeError, ValueError):
        inputs = []
    shapes = [tuple(tensor.shape) for tensor in inputs]
    if not shapes or any(size is None for shape in shapes for size in shape[1:]):
        from bnlint.runtime.backends.pytorch.parts import is_module

        order, example = ("samples first", "8x32x32x3")
        if is_module(model):
            order, example = ("samples first, then channels", "8x3x32x32")
        raise UserError(
            f"The model of {target} does not say which shape it takes. Give one, {order}, with --input, as in "
            f"--input {example}, or data with --npz."
        )
    return [("", (shape[0] or 8, *(int(size) for size in shape[1:])), "") for shape in shapes]


def _dtype(model: Any, number: int) -> str:
    with contextlib.suppress(AttributeError, ValueError, IndexError, TypeError):
        dtype = model.inputs[number].dtype
        return str(getattr(dtype, "name", dtype))
    return "float32"


def _made_up(shape: tuple[int, ...], dtype: str, number: int) -> Any:
    import numpy

    generator = numpy.random.default_rng(_SEED + number)
    if dtype.startswith(("int", "uint")):
        return generator.integers(0, 8, shape).astype(dtype)
    if dtype == "bool":
        return generator.integers(0, 2, shape).astype(bool)
    values = generator.standard_normal(shape) * _DEVIATION + _MEAN
    return values.astype(dtype if dtype in ("float16", "float64") else "float32")


def _from_file(path: str, model: Any) -> tuple[Any, Any]:
    import numpy

    try:
        with numpy.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
    except (
        OSError,
        ValueError,
        EOFError,
        AttributeError,
        TypeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise UserError(
            f"{path} is not a file of numpy.savez() that holds arrays of numbers ({type(error).__name__})."
        ) from error
    if not data:
        raise UserError(f"{path} holds no arrays. Write it with numpy.savez({path!r}, x=inputs, y=targets).")
    targets = next((data.pop(name) for name in ("y", "targets", "labels") if name in data), None)
    if not data:
        raise UserError(f"{path} holds targets and no inputs. Name the inputs x.")
    if len(data) == 1:
        return next(iter(data.values())), targets
    return data, targets


def _load(model: Any, path: str, inputs: Any) -> None:
    from bnlint.runtime.backends.pytorch import checkpoint
    from bnlint.runtime.backends.pytorch.parts import is_module
    from bnlint.runtime.exceptions import short

    if not os.path.exists(path) and not os.path.exists(f"{path}.index"):
        raise UserError(f"There is no checkpoint {path}. Check the path.")
    if is_module(model):
        checkpoint.load(model, path)
        return
    with contextlib.suppress(Exception):
        # The weights of a subclassed model are made by its first call.
        if not getattr(model, "built", True):
            model(inputs)
    try:
        if os.path.exists(f"{path}.index"):
            import tensorflow as tf

            tf.train.Checkpoint(model=model).restore(path).expect_partial()
        elif hasattr(model, "load_weights"):
            model.load_weights(path)
        else:
            raise UserError(
                f"{path} is not a TensorFlow checkpoint, and the model cannot load anything else."
            )
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"The checkpoint {path} does not fit the model: {short(error)}.") from error


def _has_file(stream: Any) -> bool:
    try:
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True
