"""Which program shows which rule: one bad program that can be run, and a good one where no fix makes it good."""

from __future__ import annotations

from dataclasses import dataclass

TENSORFLOW1 = "TensorFlow 1"
"""Its API, on today's TensorFlow."""
KERAS2 = "Keras 2"
KERAS3 = "Keras 3"
BOTH = (KERAS2, KERAS3)
TORCH = "PyTorch"


@dataclass(frozen=True)
class Case:
    """A program with one bug."""

    program: str
    """A file in the rule's folder of fixtures."""
    twin: str = ""
    """A good program beside it; empty if a fix that can be applied makes the bad one good."""
    shown_as: str = ""
    """The code that a run reports, if it cannot tell this rule from a more general one."""
    ends: int = 0
    """The exit code of the bad program."""
    unseen: str = ""
    """Why it cannot be shown at run time; then it is not run."""
    why: str = ""
    """A remark for the table: what a run shows instead, or why there is a twin."""
    on: tuple[str, ...] = (TENSORFLOW1,)
    """On what it is run; everywhere the same must come out."""


UNSEEN = {
    "BN001": "It is about files that are not Python: such a program cannot be run.",
    "BN002": "It is about programs that are too large to be analysed; a run has no such limit.",
}
"""Rules of which nothing can be shown, neither flagged nor run, and why."""

CASES: dict[str, tuple[Case, ...]] = {
    "BN003": (
        Case("bad_one_code_too_many.py", unseen="It is about comments, and a run does not read them."),
    ),
    "BN101": (Case("bad_chain_over_several_lines.py"),),
    "BN102": (Case("bad_attribute_set_in_init.py"),),
    "BN103": (Case("bad_block_with_pass.py"),),
    "BN104": (Case("bad_learning_phase_fed.py"),),
    "BN105": (Case("bad_average_of_weights_only.py", twin="good_fused_with_population.py"),),
    "BN106": (Case("bad_apply_result_dropped.py"),),
    "BN107": (
        Case("bad_one_of_two_layers_forgotten.py"),
        Case("bad_keras_tape_without_training.py", on=BOTH),
        Case("bad_keras_functional_in_traced_step.py", on=BOTH),
        Case("bad_keras_train_step_override.py", on=BOTH),
        Case("bad_keras_layer_told_false.py", on=BOTH),
        Case("bad_module_forwards_no_phase.py", on=BOTH),
        Case("bad_torch_function_without_training.py", on=(TORCH,)),
        Case("bad_torch_made_in_eval_mode.py", twin="good_torch_loader_then_train_mode.py", on=(TORCH,)),
    ),
    "BN108": (Case("bad_fit_of_a_model_of_blocks.py", on=(KERAS3,)),),
    "BN110": (
        Case("bad_contrib_decay_in_partial.py"),
        Case("bad_keras_torch_momentum.py", on=BOTH),
        Case("bad_torch_module_with_keras_momentum.py", on=(TORCH,)),
    ),
    "BN111": (Case("bad_made_where_it_is_applied.py", twin="good_made_by_a_method_of_init.py", on=(TORCH,)),),
    "BN112": (Case("bad_list_of_norms.py", on=(TORCH,)),),
    "BN113": (Case("bad_literal_in_call.py", twin="good_only_convolutions_frozen.py"),),
    "BN114": (Case("bad_zero_before_training.py", twin="good_phase_explicit_in_calls.py"),),
    "BN201": (
        Case("bad_accuracy_eval_method.py"),
        Case("bad_keras_test_step.py", on=BOTH),
        Case("bad_keras_positional_phase.py", on=(KERAS2,)),
    ),
    "BN202": (Case("bad_flags_swapped.py"),),
    "BN203": (
        Case("bad_normalizer_params_override_arg_scope.py"),
        Case("bad_keras_training_is_the_default.py", on=BOTH),
        Case("bad_keras_layer_told_true.py", on=BOTH),
        Case("bad_torch_literal_in_own_norm.py", on=(TORCH,)),
    ),
    "BN204": (Case("bad_contrib_second_argument.py"),),
    "BN205": (
        Case(
            "bad_method_uses_default_of_helper.py",
            shown_as="BN203",
            why="A run sees that the phase of the layer is a constant, and not where it got lost: it reports BN203 or "
            "BN107.",
        ),
        Case("bad_torch_argument_missing.py", shown_as="BN107", on=(TORCH,)),
    ),
    "BN206": (Case("bad_no_grad_is_not_eval.py", on=(TORCH,)),),
    "BN207": (Case("bad_validation_leaves_eval_mode.py", on=(TORCH,)),),
    "BN208": (
        Case(
            "bad_eval_is_only_named.py",
            twin="good_called.py",
            shown_as="BN206",
            why="A run sees in which mode the layers are, and not a line that leaves it as it is: it reports BN206 or "
            "BN207.",
            on=(TORCH,),
        ),
        Case("bad_train_is_only_named.py", shown_as="BN207", on=(TORCH,)),
        Case("bad_training_of_the_outermost_module.py", twin="good_flag_of_every_module.py", on=(TORCH,)),
    ),
    "BN209": (
        Case("bad_own_flag_only.py", twin="good_module_by_module.py", on=(TORCH,)),
        Case(
            "bad_returns_nothing.py",
            unseen="A run sees which layers a switch reaches, and not what becomes of the value that it returns.",
            on=(TORCH,),
        ),
    ),
    "BN210": (Case("bad_assigns_as_dependency_of_branch.py"),),
    "BN211": (
        Case("bad_base_is_unfrozen_later.py", twin="good_norms_stay_frozen.py", on=(KERAS3,)),
        Case("bad_batch_statistics_in_predict.py", twin="good_sampled_by_a_plain_call.py", on=(KERAS3,)),
    ),
    "BN212": (
        Case(
            "bad_attribute_of_a_trainer.py",
            twin="good_flag_is_an_argument.py",
            unseen="A run sees with which phase a function was traced, and not which one it should have had since.",
        ),
    ),
    "BN213": (Case("bad_loop_over_samples.py", twin="good_only_dropout.py", on=(TORCH,)),),
    "BN214": (Case("bad_default_false_never_fed.py"),),
    "BN215": (Case("bad_shape_after_restore.py", twin="good_in_evaluation_mode.py", on=(TORCH,)),),
    "BN301": (Case("bad_cond_with_identity_branch.py", twin="good_phase_chooses_between_two_norm_calls.py"),),
    "BN302": (Case("bad_branches_of_cond.py"),),
    "BN303": (
        Case("bad_torch_one_for_two_depths.py", twin="good_torch_one_layer_for_each_depth.py", on=(TORCH,)),
        Case(
            "bad_torch_source_and_target_domain.py",
            twin="good_torch_domains_are_concatenated.py",
            on=(TORCH,),
        ),
        Case(
            "bad_torch_queue_of_keys_without_shuffling.py",
            twin="good_torch_keys_shuffled_among_groups.py",
            unseen="A run does not see from which batches the keys are that a loss compares.",
            on=(TORCH,),
        ),
    ),
    "BN304": (Case("bad_actor_and_critic.py", twin="good_scope_for_each_step.py"),),
    "BN401": (
        Case("bad_loop_over_layers.py", twin="good_called_for_inference.py"),
        Case(
            "bad_torch_requires_grad_only.py", twin="good_torch_evaluation_mode_after_train.py", on=(TORCH,)
        ),
    ),
    "BN402": (
        Case("bad_frozen_once_before_the_epochs.py", twin="good_frozen_after_each_train.py", on=(TORCH,)),
        Case("bad_frozen_base_in_the_constructor.py", twin="good_own_train_method.py", on=(TORCH,)),
    ),
    "BN403": (
        Case("bad_frozen_after_first_fit.py", twin="good_compiled_again.py", on=BOTH),
        Case("bad_unfrozen_without_compile.py", twin="good_toggled_back_before_training.py", on=BOTH),
    ),
    "BN404": (Case("bad_whole_base_unfrozen.py", on=BOTH),),
    "BN405": (Case("bad_gan_for_either_keras.py", twin="good_toggled_at_every_step.py", on=(KERAS3,)),),
    "BN501": (
        Case("bad_collection_with_scope.py"),
        Case("bad_torch_named_parameters.py", on=(TORCH,)),
    ),
    "BN502": (Case("bad_torch_average_of_parameters.py", on=(TORCH,)),),
    "BN503": (
        Case("bad_torch_tested_right_away.py", twin="good_torch_update_bn_before_the_test.py", on=(TORCH,)),
    ),
    "BN504": (
        Case(
            "bad_torch_task_vector_subtracted.py",
            twin="good_torch_weights_alone_are_extrapolated.py",
            on=(TORCH,),
        ),
    ),
    "BN505": (Case("bad_torch_reset_before_the_test.py", twin="good_torch_estimated_again.py", on=(TORCH,)),),
    "BN601": (Case("bad_keras_momentum_by_position.py", twin="good_named.py", on=(TORCH,)),),
    "BN602": (
        Case("bad_default_axis_channels_first.py", on=BOTH),
        Case("bad_layer_of_own_class.py", on=BOTH),
        Case("bad_torch_steps_of_lstm.py", twin="good_torch_transposed.py", on=(TORCH,)),
    ),
    "BN603": (Case("bad_conv_axis_zero.py", twin="good_axes_by_rank.py"),),
    "BN604": (Case("bad_fused_op_order.py"),),
    "BN605": (Case("bad_torch_to_bfloat16.py", twin="good_torch_autocast.py", on=(TORCH,)),),
    "BN606": (
        Case("bad_is_training_to_tf_layers.py", ends=1),
        Case("bad_keras_is_training_in_call.py", ends=1, on=(KERAS2,)),
        Case("bad_keras_decay.py", ends=1, on=(KERAS3,)),
        Case("bad_phase_by_position_with_keras_3.py", ends=1, on=(KERAS3,)),
    ),
    "BN608": (
        Case(
            "bad_trainable_statistics.py",
            unseen="A run sees a hand-written layer by its formula, and not where it keeps what.",
            on=BOTH,
        ),
    ),
    "BN701": (
        Case(
            "bad_torch_layer_added_later.py",
            twin="good_torch_result_is_used.py",
            unseen="A run is watched in one process, and what is not synchronised shows in several only.",
            on=(TORCH,),
        ),
    ),
    "BN702": (
        Case(
            "bad_mirrored_fit.py",
            twin="good_synchronized.py",
            unseen="A run is observed on the devices that are there, and that may be only one.",
            on=BOTH,
        ),
        Case(
            "bad_torch_batch_is_divided.py",
            twin="good_torch_many_or_synchronised.py",
            unseen="With PyTorch, each replica or process normalises its share, and a run is watched in one process.",
            on=(TORCH,),
        ),
    ),
    "BN703": (
        Case(
            "bad_torch_vectors_one_by_one.py",
            twin="good_torch_evaluated_one_by_one.py",
            ends=1,
            why="A run sees the error that ends the program.",
            on=(TORCH,),
        ),
    ),
    "BN704": (Case("bad_torch_segments.py", twin="good_torch_momentum_for_two.py", on=(TORCH,)),),
    "BN705": (Case("bad_torch_r1.py", twin="good_torch_instance_norm.py", on=(TORCH,)),),
    "BN707": (
        Case("bad_torch_step_every_so_often.py", twin="good_torch_step_for_each_batch.py", on=(TORCH,)),
    ),
    "BN801": (
        Case("bad_freeze_graph_tool.py", twin="good_phase_defaults_to_inference.py"),
        Case("bad_keras_hard_coded_phase.py", twin="good_keras_phase_handed_on.py", on=BOTH),
        Case("bad_keras_converter.py", twin="good_keras_phase_handed_on.py", on=BOTH),
        Case("bad_keras_graph_of_layers.py", twin="good_keras_graph_of_layers.py", on=BOTH),
        Case("bad_keras_2_file.py", twin="good_keras_graph_of_layers.py", on=(KERAS2,)),
        Case("bad_keras_default_of_call.py", twin="good_keras_default_is_inference.py", on=(KERAS3,)),
        Case("bad_torch_traced_after_training.py", twin="good_torch_eval_before_export.py", on=(TORCH,)),
    ),
    "BN901": (
        Case(
            "bad_conv_and_dense.py",
            unseen="The bias does no harm that a run could show: the layer takes it away.",
        ),
        Case(
            "bad_torch_sequence_and_block.py",
            unseen="The bias does no harm that a run could show: the layer takes it away.",
            on=(TORCH,),
        ),
    ),
    "BN902": (
        Case(
            "bad_directly_before.py",
            twin="good_after_the_last_norm.py",
            unseen="A run tells the formula of each layer, and that one is right.",
        ),
        Case(
            "bad_torch_through_a_layer.py",
            twin="good_torch_after_the_last_norm.py",
            unseen="A run tells the formula of each layer, and that one is right.",
            on=(TORCH,),
        ),
    ),
    "BN904": (Case("bad_said_at_the_layer.py", on=(TORCH,)),),
    "BN903": (
        Case(
            "bad_mask_lost_in_convolution.py",
            twin="good_mask_is_passed.py",
            unseen="Where the mask is lost, or there is none, a run cannot tell padding from data.",
        ),
        Case(
            "bad_torch_unpacked_steps.py",
            twin="good_torch_mask_selects_steps.py",
            unseen="Where the mask is lost, or there is none, a run cannot tell padding from data.",
            on=(TORCH,),
        ),
    ),
}
"""By the rule's code; the first program of a rule is the one that explains it."""
