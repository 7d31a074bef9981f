"""What the fixes of the rules about statistics that never learn do, on the bad fixtures of these rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnlint.check import Checker, Options
from bnlint.findings import Applicability
from bnlint.fixes import repair
from bnlint.registry import rules
from bnlint.source.files import Overlay

FIXTURES = Path(__file__).parents[2] / "fixtures"
RULES = ("bn101", "bn102", "bn103", "bn104", "bn105", "bn106", "bn107", "bn110", "bn113", "bn114")
WRAP = "with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):"

DONE = {
    "bn101/bad_estimator_model_fn.py": WRAP,
    "bn101/bad_gan_both_networks.py": "tf.get_collection(tf.GraphKeys.UPDATE_OPS, scope='generator')",
    "bn101/bad_model_built_inside_minimize.py": "*tf.get_collection(tf.GraphKeys.UPDATE_OPS))",
    "bn101/bad_scope_filter_matches_nothing.py": "updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)\n",
    "bn101/bad_step_in_lambda.py": "lambda loss: tf.group(optimizer.minimize(loss), *tf.get_collection(",
    "bn101/bad_wrong_collection_key.py": WRAP,
    "bn102/bad_block_around_model.py": f"    loss = tf.reduce_mean(tf.square(network(x, is_training) - y))\n    {WRAP}",
    "bn102/bad_default_argument.py": WRAP,
    "bn102/bad_read_between_two_layers.py": (
        "        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)\n"
        "        with tf.control_dependencies(updates):\n"
    ),
    "bn103/bad_block_with_pass.py": (
        "    with tf.control_dependencies(update_ops):\n"
        "        train_op = tf.train.AdamOptimizer(0.005).minimize(loss)"
    ),
    "bn103/bad_collected_but_unused.py": "with tf.control_dependencies(update_ops):",
    "bn104/bad_estimator_with_keras_layers.py": "(tf.get_collection(tf.GraphKeys.UPDATE_OPS) + norm.updates):",
    "bn104/bad_idiom_collects_nothing.py": "tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)",
    "bn104/bad_subclassed_model.py": "with tf.control_dependencies(model.updates):",
    "bn106/bad_apply_result_dropped.py": "tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, ema.apply([mean, var]))",
    "bn106/bad_dependency_on_nothing_new.py": "return tf.identity(mean), tf.identity(var)",
    "bn106/bad_group_built_but_step_fetched.py": "with tf.control_dependencies([update1, update2]):",
    "bn107/bad_one_of_two_layers_forgotten.py": "training=self.is_training))",
    "bn107/bad_phase_feeds_dropout_only.py": WRAP,
    "bn110/bad_inverted_ema_decay.py": "decay=1 - BN_RATE",
    "bn110/bad_torch_momentum.py": "momentum=0.9,",
}
"""What stands in the fixed files."""

SHOWN = (
    "bn101/bad_second_network_in_training_mode.py",
    "bn104/bad_learning_phase_never_fed.py",
    "bn104/bad_sequential_with_an_input_of_its_own.py",
    "bn106/bad_python_rebinding.py",
    "bn107/bad_training_argument_missing.py",
)
"""Where the precondition of the fix does not hold."""


def _cases() -> list[Path]:
    return [case for rule in RULES for case in sorted((FIXTURES / rule).glob("bad_*"))]


def _checker(case: Path, monkeypatch: pytest.MonkeyPatch) -> Checker:
    root = case if case.is_dir() else case.parent
    monkeypatch.chdir(root)
    return Checker(Options(select=(case.parent.name.upper(), "BN1"), project_root=root, isolated=True))


@pytest.mark.parametrize("name", DONE)
def test_the_fix_reads_as_an_expert_would_write_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = FIXTURES / name
    checker = _checker(case, monkeypatch)

    def look(overlay: Overlay):  # type: ignore[no-untyped-def]
        return checker.check([case], overlay)

    outcome = repair(checker.check([case]), look, unsafe=True)
    assert not outcome.report.findings
    (change,) = outcome.changes.values()
    assert DONE[name] in change.after.decode()
    assert DONE[name] not in change.before.decode()


@pytest.mark.parametrize("name", SHOWN)
def test_a_fix_whose_precondition_fails_is_only_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = FIXTURES / name
    findings = _checker(case, monkeypatch).check([case]).findings
    assert [finding.fix and finding.fix.applicability for finding in findings] == [Applicability.DISPLAY]


@pytest.mark.parametrize("case", _cases(), ids=lambda case: f"{case.parent.name}/{case.name}")
def test_every_fix_is_as_the_rule_declares(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {rule.code: rule.fixable for rule in rules()}
    findings = _checker(case, monkeypatch).check([case]).findings
    for finding in findings:
        assert finding.fix is not None
        assert finding.fix.applicability in declared[finding.code]
