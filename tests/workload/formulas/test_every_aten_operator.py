"""Every operator of torch that a run can reach and that computes something is counted, free, or excepted here."""

from fnmatch import fnmatch

import pytest

torch = pytest.importorskip("torch")

from hwbench.workload.formulas import aten  # noqa: E402

EXCEPTED = {
    "kernels of one backend, called below the operator that is counted": """
        cudnn_* _cudnn_* miopen_* mkldnn_* _mkldnn_* mps_* _mps_* *_mps *_mps_backward *_for_mps _nnpack_*
        _conv_depthwise2d conv_depthwise3d slow_conv* _slow_conv* _cholesky_solve_helper _use_cudnn_ctc_loss
        _use_miopen_ctc_loss _triton_* to_mkldnn _index_put_impl _grid_sampler_2d_cpu_fallback*
        _compute_linear_combination _flash_attention_forward_no_dropout_inplace _fill_mem_eff_dropout_mask_
        linear_backward matmul_backward batch_norm_gather_stats_with_counts
    """,
    "whole layers that run as such only on the fast path, which is turned off": """
        _native_multi_head_attention _transformer_encoder_layer_fwd
    """,
    "changes of format and gradients of sparse tensors": """
        *sparse* _coalesced hspmm _spdiags _spsolve
        _convert_indices_* _cslt_* _validate_compressed_*
    """,
    "nested tensors as views of others, and their lengths": "_nested_*",
    "packing of weights, once before all runs": """
        _convert_weight_to_int4pack* _dyn_quant_pack_4bit_weight _empty_*_quantized empty_quantized
        _empty_per_channel_affine_quantized q_per_channel_*
    """,
    "functional forms that no run dispatches, bookkeeping and torch's own tests": """
        _test_* _foobar _functional_sym_* _make_dep_token _new_zeros_with_same_feature_meta _philox_key_*
        _copy_from _copy_from_and_resize _resize_output from_file _amp_update_scale*
    """,
}
PATTERNS = [pattern for patterns in EXCEPTED.values() for pattern in patterns.split()]


def computing() -> dict[str, list[object]]:
    """Operators that reach a dispatch mode: no compositions of others, views or variants with `out`."""
    found: dict[str, list[object]] = {}
    for full in torch._C._dispatch_get_all_op_names():
        space, _, name = full.partition("::")
        base, _, overload = name.partition(".")
        if space != "aten" or torch._C._dispatch_has_kernel_for_dispatch_key(full, "CompositeImplicitAutograd"):
            continue
        operator = getattr(getattr(torch.ops.aten, base, None), overload or "default", None)
        if operator is not None and not operator.is_view and not overload.endswith("out"):
            found.setdefault(base, []).append(operator)
    return found


def is_counted(base: str, operators: list[object]) -> bool:
    name = f"aten.{base}"
    tags = [operator.tags for operator in operators]  # type: ignore[attr-defined]
    return name in aten.FREE or all(
        aten.formula(name, torch.Tag.pointwise in tag, torch.Tag.reduction in tag) for tag in tags
    )


def test_every_operator_is_counted_free_or_excepted() -> None:
    operators = computing()
    assert len(operators) > 800
    missing = [base for base in operators if not is_counted(base, operators[base])]
    assert [base for base in missing if not any(fnmatch(base, pattern) for pattern in PATTERNS)] == []
    assert [pattern for pattern in PATTERNS if not any(fnmatch(base, pattern) for base in missing)] == []
