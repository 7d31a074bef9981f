"""Watches sessions: what each run executes, and what it is for."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.tensorflow1 import applied as norms
from bnlint.runtime.backends.tensorflow1 import feeds
from bnlint.runtime.backends.tensorflow1 import plan as plans
from bnlint.runtime.backends.tensorflow1.capture import Capture
from bnlint.runtime.backends.tensorflow1.graph import Graph
from bnlint.runtime.backends.tensorflow1.look import Looking
from bnlint.runtime.backends.tensorflow1.patches import around_method
from bnlint.runtime.backends.tensorflow1.paths import Use
from bnlint.runtime.backends.tensorflow1.plan import Plan
from bnlint.runtime.observed import Purpose, RunSeen

_TRAINING = "tf.keras.Model.fit"
_EVALUATING = ("tf.keras.Model.evaluate", "tf.keras.Model.predict")
_MOST_PLANS = 2000


def observe(capture: Capture) -> None:
    """Patch the method in which every run ends, however it was asked for."""
    from tensorflow.python.client import session

    watch = SessionWatch(capture)
    around_method(session.BaseSession, "run", watch.run)
    around_method(session.BaseSession, "make_callable", watch.make_callable)
    around_method(session.BaseSession, "close", watch.close)
    around_method(session.Session, "__exit__", watch.leave)


class SessionWatch:
    """What was seen of all sessions."""

    def __init__(self, capture: Capture) -> None:
        self.recorder = capture.recorder
        self._capture = capture
        self.looking = Looking(capture.recorder)
        self._plans: weakref.WeakKeyDictionary[Graph, dict[Any, Plan]] = weakref.WeakKeyDictionary()
        self._local = threading.local()
        self._trained: dict[str, None] = {}
        """The variables that training steps trained so far."""
        self._training_uses: dict[str, list[Use]] = {}
        self._restored = capture.restored
        self._memory = feeds.Memory()

    def run(
        self,
        original: Any,
        session: Any,
        fetches: Any,
        feed_dict: Any = None,
        options: Any = None,
        run_metadata: Any = None,
    ) -> Any:
        """``Session.run``."""
        recorder = self.recorder
        if not recorder.active or getattr(self._local, "inside", False):
            return original(session, fetches, feed_dict, options, run_metadata)
        self._local.inside = True
        try:
            plan = None
            with recorder.observing():
                plan = self._plan(session.graph, fetches, feed_dict)
                if plan is not None and self._capture.run_api == _TRAINING:
                    plan.declared = True
            if plan is None or not (plan.trains() or plan.watched or self._may_evaluate(plan)):
                return original(session, fetches, feed_dict, options, run_metadata)
            if plan.trains():
                recorder.step_begins()
            sample = None
            places: list[Location] = []
            with recorder.observing():
                places = recorder.frames.here()
                if plan.watched and not plan.failed and recorder.wanted(plan.seen, plan.sampled):
                    sample = self.looking.before(original, session, plan)
            plan.seen += 1
            extra = sample.fetches() if sample is not None else []
            result, values = self._fetch(
                original, session, fetches, extra, feed_dict, options, run_metadata, plan
            )
            with recorder.observing(), recorder.lock:
                if values is not None and sample is not None:
                    sample.take(values)
                    sample.after(original, session)
                else:
                    sample = None
                self._note(plan, places, feed_dict, sample)
            return result
        finally:
            self._local.inside = False

    def _fetch(
        self,
        original: Any,
        session: Any,
        fetches: Any,
        extra: list[Any],
        feed_dict: Any,
        options: Any,
        run_metadata: Any,
        plan: Plan,
    ) -> tuple[Any, list[Any] | None]:
        if not extra:
            return original(session, fetches, feed_dict, options, run_metadata), None
        from tensorflow.python.framework import errors

        try:
            result, values = original(session, [fetches, extra], feed_dict, options, run_metadata)
            return result, values
        except errors.InvalidArgumentError as error:
            if "Retval" not in str(error):
                raise
            # What was fetched in addition lies in a branch that was not taken.
            plan.failed = True
            self.recorder.note(
                "A run could not be looked at: its tensors are inside a condition of the graph."
            )
            return original(session, fetches, feed_dict, options, run_metadata), None

    def make_callable(
        self, original: Any, session: Any, fetches: Any, feed_list: Any = None, accept_options: bool = False
    ) -> Any:
        """``Session.make_callable``: what it makes runs without ``Session.run``, where nobody could look."""
        if accept_options or not self.recorder.active or getattr(self._local, "inside", False):
            return original(session, fetches, feed_list, accept_options)

        def call(*values: Any) -> Any:
            return session.run(fetches, dict(zip(feed_list or (), values, strict=True)))

        return call

    def close(self, original: Any, session: Any) -> Any:
        """``Session.close``."""
        self._last_look(session)
        return original(session)

    def leave(self, original: Any, session: Any, *error: Any) -> Any:
        """The end of ``with tf.Session()``."""
        self._last_look(session)
        return original(session, *error)

    def _last_look(self, session: Any) -> None:
        if self.recorder.active and not getattr(self._local, "inside", False):
            from tensorflow.python.client.session import BaseSession

            self._local.inside = True
            try:
                with self.recorder.observing():
                    self.looking.last(BaseSession.run, session, norms.of(session.graph))
            finally:
                self._local.inside = False

    # What a run is.

    def _plan(self, graph: Graph, fetches: Any, feed_dict: Any) -> Plan | None:
        try:
            elements = list(_elements(graph, fetches))
            fed = frozenset(feeds.names(graph, feed_dict))
        except (TypeError, ValueError, KeyError, AttributeError, RuntimeError):
            # The session says what is wrong with it.
            return None
        key = tuple(each.name for each in elements), fed
        known = self._plans.setdefault(graph, {})
        if key not in known:
            if len(known) >= _MOST_PLANS:
                return None
            known[key] = plans.make(graph, elements, fed)
        found = known[key]
        found.update()
        return found

    def _may_evaluate(self, plan: Plan) -> bool:
        if not plan.values or not plan.weighs or not self._trained:
            return False
        trained = [name for name in self._trained if name in plan.operations]
        # Who writes to them starts or restores them.
        return bool(trained) and not plan.writes & set(trained)

    def _note(self, plan: Plan, places: list[Location], feed_dict: Any, sample: Any) -> None:
        booleans = feeds.booleans(plan.graph, feed_dict)
        site = places[0] if places else None
        place = f"{site.path}:{site.line}:{site.column}" if site else ""
        key = f"{place}|{plan.names}|{sorted(booleans.items())}"

        def make() -> RunSeen:
            return RunSeen(
                key=key,
                site=site,
                api=self._capture.run_api or "tf.Session.run",
                purpose=Purpose.UNKNOWN,
                fed=booleans,
                callers=places[1:],
                step=plan.step.site if plan.step is not None else None,
            )

        seen = self.recorder.run(key, make)
        if seen is None:
            return
        if sample is not None:
            self.looking.judge(plan, seen, sample)
            plan.branches.update(sample.branches)
        if plan.trains():
            seen.purpose = Purpose.TRAIN
            if not seen.reasons:
                seen.reasons = ["it changes weights by an optimizer"]
            self._trained.update(dict.fromkeys(plan.trained))
            self._memory.keep(plan.graph, feeds.needed(plan.graph, feed_dict, plan.used))
            self.recorder.step_done()
            if seen.count == 1 or (sample is not None and not plan.uses):
                plan.find_uses()
                self._keep_uses(plan)
        else:
            self._classify(plan, seen, feed_dict)
        self.recorder.changed()

    def _keep_uses(self, plan: Plan) -> None:
        for use in plan.uses:
            known = self._training_uses.setdefault(use.weights, [])
            if not any(each.op is use.op and each.norms == use.norms for each in known):
                known.append(use)

    def _classify(self, plan: Plan, seen: RunSeen, feed_dict: Any) -> None:
        trained = [name for name in self._trained if name in plan.operations]
        restored = plan.graph in self._restored
        if not plan.values or set(trained) & plan.writes:
            return
        declared = seen.api in _EVALUATING
        if not trained and not (restored and plan.watched) and not declared:
            return
        phases = set(seen.fed.values()) | {
            str(passage.declared) for passage in seen.passages if passage.declared is not None
        }
        if "True" in phases and self._memory.holds(
            plan.graph, feeds.needed(plan.graph, feed_dict, plan.used)
        ):
            # The more of the training was seen, the surer: the last of these runs decides.
            seen.purpose = Purpose.UNKNOWN
            seen.reasons = ["in training mode it looks at data of the training steps"]
            return
        seen.purpose = Purpose.EVALUATE
        why = "weights that were trained before" if trained else "weights that were read from a checkpoint"
        seen.reasons = [f"it fetches values that depend on {why}", "it changes no weights"]
        if declared:
            seen.reasons = [f"{seen.api} evaluates"]
        if self._training_uses and not seen.skipped:
            self._look_for_skipped(plan, seen)

    def _look_for_skipped(self, plan: Plan, seen: RunSeen) -> None:
        if not plan.uses or seen.count < 3:
            plan.find_uses()
        first = None
        for use in plan.uses:
            if not use.known:
                continue
            if plan.graph not in self._restored and not any(
                each.op.graph is plan.graph for each in self._training_uses.get(use.weights, ())
            ):
                continue
            training = self._training_uses.get(use.weights, [])
            if not training or any(each.op is use.op and each.norms == use.norms for each in training):
                continue
            if all(use.norms < each.norms and use.before == each.before for each in training):
                first = first or use
                seen.skipped.extend(
                    key for key in sorted(training[0].norms - use.norms) if key not in seen.skipped
                )
        if first is not None and seen.skips is None:
            stack = [(frame.filename, frame.lineno) for frame in first.op.traceback or ()]
            seen.skips = self.recorder.frames.innermost(stack)


def _elements(graph: Graph, fetches: Any) -> Iterable[Any]:
    """The tensors and operations in a structure of fetches."""
    if isinstance(fetches, (list, tuple)):
        for each in fetches:
            yield from _elements(graph, each)
    elif isinstance(fetches, Mapping):
        for each in fetches.values():
            yield from _elements(graph, each)
    elif fetches is None:
        return
    elif hasattr(fetches, "dense_shape"):
        yield from (fetches.indices, fetches.values, fetches.dense_shape)
    elif hasattr(fetches, "__attrs_attrs__"):
        for each in fetches.__attrs_attrs__:
            yield from _elements(graph, getattr(fetches, each.name))
    elif hasattr(fetches, "values") and hasattr(fetches, "indices"):
        yield from (fetches.values, fetches.indices)
    else:
        yield graph.as_graph_element(fetches, allow_tensor=True, allow_operation=True)
