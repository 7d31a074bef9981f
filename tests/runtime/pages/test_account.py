"""The verdict in plain words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bnlint.findings import Finding, Group, Report, Silencer, Suppressed, Suppression
from bnlint.runtime.observed import CheckpointSeen, Mode, Observed, Purpose
from bnlint.runtime.oracle import Outcome, Verdict, Verification
from bnlint.runtime.pages.account import account_for
from bnlint.runtime.pages.words import number

from . import samples
from .samples import at, broken, deep, empty, healthy, infer_passage, same, train_passage, verification


def found(code: str, line: int = 90) -> Finding:
    return Finding(code, "some-rule", Group.ERROR, at(line), "something is wrong")


def test_layers_that_never_learned() -> None:
    account = account_for(*broken())
    assert account.verdict is Verdict.FAIL
    assert account.sentence == (
        "Both batch-norm layers never learned their statistics: after 3,001 training steps they still hold the values "
        "they started with."
    )
    assert account.more == ["Besides, both are left out when the model is evaluated."]
    assert [(row.layer.key, row.verdict) for row in account.rows] == [
        ("BatchNorm", Verdict.FAIL),
        ("BatchNorm_1", Verdict.FAIL),
    ]
    assert [cause.rule for cause in account.rows[0].causes] == ["BN101", "BN301"]
    assert account.rows[0].causes[0].text == (
        "In 3,001 training steps its moving statistics never moved: mean 0, variance 1; those of the batches are mean "
        "0.362 to 0.552, variance 0.15 to 0.265."
    )


def test_healthy_layers() -> None:
    account = account_for(*healthy())
    assert account.verdict is Verdict.PASS
    assert (
        account.sentence
        == "All 3 batch-norm layers learned in training and are used in evaluation as they should."
    )
    assert not any(row.causes for row in account.rows)


def test_the_broken_layer_of_many_comes_first() -> None:
    account = account_for(*deep())
    assert account.sentence.startswith("1 of 60 batch-norm layers never learned its statistics: after 400")
    assert account.rows[0].layer.key == "resnet/stage2/unit9/bn"
    assert [row.verdict for row in account.rows] == [Verdict.FAIL] + [Verdict.PASS] * 59


def test_without_layers_nothing_is_well() -> None:
    account = account_for(*empty())
    assert account.verdict is Verdict.SKIP
    assert account.sentence == "No batch-norm layer was seen in this run."
    assert account.more == ["The script ended with an exception; this is what was seen until then."]


def test_without_an_evaluation_only_training_is_praised() -> None:
    seen, report = healthy()
    del seen.runs[1]
    assert account_for(seen, report).sentence == (
        "All 3 batch-norm layers learned as they should in training; no evaluation was seen."
    )


def test_a_layer_that_was_not_seen_at_work_is_not_healthy() -> None:
    seen, report = healthy()
    for run in seen.runs:
        run.passages = run.passages[:2]
    account = account_for(seen, report)
    assert [row.verdict for row in account.rows] == [Verdict.SKIP, Verdict.PASS, Verdict.PASS]
    assert account.sentence.startswith("2 of 3 batch-norm layers learned")
    for run in seen.runs:
        run.passages = []
    assert account_for(seen, report).verdict is Verdict.SKIP


def test_what_no_finding_explains_is_a_warning() -> None:
    seen, _ = broken()
    account = account_for(seen, Report())
    assert account.verdict is Verdict.WARN
    assert account.sentence.startswith(
        "Nothing is certainly broken, but both batch-norm layers never learned"
    )
    assert account.rows[0].causes[0].so == "No finding explains it; it may be meant."


def test_what_is_suppressed_is_a_warning() -> None:
    seen, report = broken()
    suppression = Suppression(Silencer.COMMENT, at(13), "known")
    report.suppressed = [Suppressed(finding, suppression) for finding in report.findings]
    report.findings = []
    account = account_for(seen, report)
    assert account.verdict is Verdict.WARN
    assert account.rows[0].causes[0].so == "The finding about it is suppressed."


def test_a_finding_without_figures_is_told_of_the_layer_it_names() -> None:
    seen, report = healthy()
    report.findings = [found("BN603", line=8)]
    account = account_for(seen, report)
    assert [row.layer.key for row in account.of(Verdict.FAIL)] == ["block2/bn"]
    assert account.rows[0].causes[0].text == "Something is wrong."
    report.findings = [found("BN603", line=70)]
    account = account_for(seen, report)
    assert account.verdict is Verdict.FAIL
    assert account.sentence == "something is wrong."


def one(change: Callable[[Observed], None]) -> Observed:
    """One healthy layer, changed."""
    layer = samples.layer("bn", at(7))
    seen = Observed(
        "train.py",
        layers=[layer],
        runs=[
            samples.training([train_passage(layer, moved=True)]),
            samples.evaluation([infer_passage(layer)]),
        ],
        train_steps=samples.STEPS,
    )
    change(seen)
    return seen


def not_finite(seen: Observed) -> None:
    seen.layers[0].last_variance = same(float("nan"))


def trained_in_inference_mode(seen: Observed) -> None:
    seen.runs[0].passages[0].mode = Mode.MOVING
    seen.runs[0].passages[0].moved = False


def left_out(seen: Observed) -> None:
    seen.runs[1].passages, seen.runs[1].skipped = [], ["bn"]


def own_statistics(seen: Observed) -> None:
    other = samples.layer("trained", at(8))
    seen.layers.append(other)
    seen.runs[0].passages = [train_passage(other, moved=True)]
    seen.layers[0].last_mean, seen.layers[0].last_variance = same(0.0), same(1.0)


def no_statistics(seen: Observed) -> None:
    seen.layers[0].has_statistics = False
    seen.runs[0].passages[0].moved = None
    seen.runs[1].passages[0].mode = Mode.BATCH


def batch_in_inference(seen: Observed) -> None:
    seen.runs[1].passages[0].mode = Mode.BATCH
    seen.runs[1].passages[0].declared = True


def moved_in_inference(seen: Observed) -> None:
    seen.runs[1].passages[0].moved = True


def frozen(seen: Observed) -> None:
    seen.layers[0].trainable = False
    seen.runs[0].passages[0].moved = False


def inverted(seen: Observed) -> None:
    seen.runs[0].passages[0].momentum = 0.0101


def neither(seen: Observed) -> None:
    seen.runs[1].passages[0] = replace(seen.runs[1].passages[0], mode=Mode.NEITHER, moving_error=50.0)


def lost(seen: Observed) -> None:
    seen.checkpoints.append(CheckpointSeen(at(30), "tf.train.Saver", True, missing=["bn"]))


def exported(seen: Observed) -> None:
    seen.checkpoints.append(CheckpointSeen(at(30), "tf.saved_model.save", True, training_mode=["bn"]))


@pytest.mark.parametrize(
    ("change", "code", "sentence"),
    [
        (not_finite, "", "has statistics that are not finite"),
        (trained_in_inference_mode, "BN107", "was trained in inference mode"),
        (left_out, "BN301", "is left out when the model is evaluated"),
        (own_statistics, "BN302", "is evaluated with statistics that nothing trains"),
        (no_statistics, "BN105", "keeps no statistics for inference"),
        (batch_in_inference, "BN201", "uses the statistics of the batch when the model is evaluated"),
        (moved_in_inference, "BN210", "goes on learning while the model is evaluated"),
        (frozen, "BN113", "is frozen and does not behave so"),
        (inverted, "BN110", "has another momentum than is declared"),
        (neither, "BN604", "computes something else than batch normalisation"),
        (lost, "BN501", "is saved without its statistics"),
        (exported, "BN801", "is exported in training mode"),
    ],
)
def test_each_way_to_be_broken(change: Callable[[Observed], None], code: str, sentence: str) -> None:
    seen = one(change)
    explained = account_for(seen, Report(findings=[found(code)] if code else []))
    assert explained.verdict is Verdict.FAIL
    assert explained.rows[0].headline == sentence
    assert len(explained.of(Verdict.FAIL)) == 1
    assert [(cause.rule, cause.verdict) for cause in explained.rows[0].causes] == [(code, Verdict.FAIL)]
    assert f"batch-norm layer{'s' if len(seen.layers) > 1 else ''} {sentence}" in explained.sentence
    if code:
        assert account_for(seen, Report()).verdict is Verdict.WARN


def test_a_layer_that_is_only_evaluated_may_have_been_loaded() -> None:
    def loaded(seen: Observed) -> None:
        own_statistics(seen)
        for name in ("initial", "last"):
            setattr(seen.layers[0], f"{name}_mean", same(0.4))
            setattr(seen.layers[0], f"{name}_variance", same(2.0))

    account = account_for(one(loaded), Report())
    assert account.verdict is Verdict.PASS
    assert account.rows[0].headline == ""


def test_a_short_run_does_not_say_never() -> None:
    seen, _ = broken()
    seen.train_steps = 1
    seen.runs[1].skipped = []
    assert account_for(seen, Report()).verdict is Verdict.PASS


def test_runs_of_unknown_purpose_accuse_nobody() -> None:
    def change(seen: Observed) -> None:
        batch_in_inference(seen)
        seen.runs[1].purpose = Purpose.UNKNOWN

    assert account_for(one(change), Report()).verdict is Verdict.PASS


def test_a_frozen_layer_that_stands_still_is_healthy() -> None:
    def change(seen: Observed) -> None:
        frozen(seen)
        seen.runs[0].passages[0].mode = Mode.MOVING

    account = account_for(one(change), Report())
    assert account.verdict is Verdict.PASS
    assert not account.rows[0].moved.bad
    assert not account.rows[0].training.bad


def test_verification() -> None:
    account = account_for(verification(), Report(), "model.build")
    assert account.title == "model.build"
    assert account.verdict is Verdict.FAIL
    assert account.sentence == "1 of 3 batch-norm layers does not learn its statistics as it should."
    assert account.rows[0].layer.key == "block2/bn"
    assert [cause.verdict for cause in account.rows[0].causes] == [Verdict.FAIL, Verdict.SKIP]
    assert [cause.text for cause in account.causes] == [
        "Not checked whether a checkpoint keeps what inference needs: the model cannot be built a second time."
    ]


def test_a_verification_without_layers_or_checks() -> None:
    nothing = account_for(Verification(), Report())
    assert (nothing.verdict, nothing.sentence) == (
        Verdict.SKIP,
        "No batch-norm layer was found in the model.",
    )
    skipped = Verification([Outcome(9, "", Verdict.SKIP, "there is one graph only")])
    assert account_for(skipped, Report()).verdict is Verdict.SKIP


def test_a_verification_that_fails_as_a_whole() -> None:
    whole = Verification([Outcome(9, "", Verdict.FAIL, "The graphs have other layers.", "BN301")])
    account = account_for(whole, Report())
    assert account.verdict is Verdict.FAIL
    assert account.sentence == (
        "The model as a whole does not pass the check that the same layers run in training and in inference."
    )


def test_layers_of_one_name_are_told_from_each_other() -> None:
    seen = verification()
    for figures in seen.layers:
        figures.layer.name = "bn"
    account = account_for(seen, Report())
    assert [row.verdict for row in account.rows] == [Verdict.FAIL, Verdict.PASS, Verdict.PASS]
    with pytest.raises(AssertionError, match=r"^bn: a training step moves the statistics"):
        seen.assert_ok()


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (100.0, 2, "100"),
        (1234.5, 3, "1,230"),
        (-5000.0, 2, "-5,000"),
        (1e7, 2, "1e+07"),
        (0.00001, 2, "1e-05"),
        (0.4512, 2, "0.45"),
    ],
)
def test_numbers_are_written_out_unless_they_are_huge_or_tiny(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text
