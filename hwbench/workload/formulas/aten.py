"""Costs of torch's operators in one table, and operators that launch no kernel.

An operator is a row of FORMULAS, pointwise or a reduction (torch tags those itself), FREE (a view or an allocation), or
unknown, which the tracer reports as uncounted. torch is not imported.
"""

from collections.abc import Callable

from hwbench.workload.formulas import cost as count
from hwbench.workload.formulas.cost import Call, Cost, Formula, Tensor, norm, per_input, per_output, row_wise

_ATTENTION = "two products forward (Vaswani et al., arXiv:1706.03762), five backward (Dao et al., arXiv:2205.14135)"

FORMULAS: tuple[tuple[str, Callable[[Call], Cost], str], ...] = (
    ("mm bmm _int_mm _scaled_mm", count.mm, count.PRODUCTS),
    ("addmm baddbmm _addmm_activation addbmm", count.addmm, count.PRODUCTS),
    ("mv addmv dot vdot", count.vector_product, count.PRODUCTS),
    ("linear", count.linear, count.PRODUCTS),
    ("_grouped_mm _scaled_grouped_mm", count.grouped_mm, count.PRODUCTS),
    ("_grouped_mm_backward", count.grouped_mm_backward, count.PRODUCTS),
    ("lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell", count.recurrent,
     "Hochreiter and Schmidhuber 1997; Cho et al., arXiv:1406.1078"),
    ("_trilinear", count.trilinear, "torch.nn.Bilinear's definition: y = x1ᵀ A x2 + b"),
    ("convolution _convolution convolution_overrideable", count.convolution, count.CONVOLUTIONS),
    ("convolution_backward", count.convolution_backward, count.CONVOLUTIONS),
    ("""scaled_dot_product_attention _scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention
        _scaled_dot_product_cudnn_attention _scaled_dot_product_flash_attention_for_cpu
        _scaled_dot_product_fused_attention_overrideable""", count.attention_call, _ATTENTION),
    ("""scaled_dot_product_attention_backward _scaled_dot_product_flash_attention_backward
        _scaled_dot_product_efficient_attention_backward _scaled_dot_product_cudnn_attention_backward
        _scaled_dot_product_flash_attention_for_cpu_backward""", count.attention_backward_call, _ATTENTION),
    ("""native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm
        _batch_norm_with_update _batch_norm_no_update batch_norm_elemt""", norm("batch_norm", 2), count.BATCH_NORM),
    ("native_layer_norm", norm("layer_norm", 7), count.LAYER_NORM),
    ("native_group_norm", norm("group_norm", 7), "Wu and He, arXiv:1803.08494"),
    ("_fused_rms_norm rms_norm", norm("rms_norm", 4), "Zhang and Sennrich, arXiv:1910.07467"),
    ("_weight_norm_interface", per_input("weight_norm", 3), "Salimans and Kingma, arXiv:1602.07868"),
    ("""native_batch_norm_backward native_layer_norm_backward native_group_norm_backward _fused_rms_norm_backward
        cudnn_batch_norm_backward batch_norm_backward""", per_input("norm_backward", 10), count.ELEMENTS),
    ("_softmax _log_softmax _safe_softmax", row_wise("softmax", 5), count.ELEMENTS),
    ("_softmax_backward_data _log_softmax_backward_data", per_output("softmax_backward", 4), count.ELEMENTS),
    ("""max_pool2d_with_indices max_pool3d_with_indices max_pool2d max_pool1d avg_pool1d avg_pool2d avg_pool3d""",
     count.pool, count.ELEMENTS),
    ("_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d", per_input("avg_pool"), count.ELEMENTS),
    ("adaptive_max_pool2d adaptive_max_pool3d fractional_max_pool2d", per_input("max_pool"), count.ELEMENTS),
    ("""max_pool2d_with_indices_backward max_pool3d_with_indices_backward avg_pool2d_backward avg_pool3d_backward
        _adaptive_avg_pool2d_backward adaptive_max_pool2d_backward""", per_output("pool_backward", 1), count.ELEMENTS),
    ("""upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
        _upsample_nearest_exact3d""", per_output("upsample"), "a copy of the nearest element"),
    ("upsample_linear1d", per_output("upsample", 3), "interpolation between two neighbors"),
    ("upsample_bilinear2d _upsample_bilinear2d_aa grid_sampler_2d", per_output("upsample", 9),
     "three linear interpolations of three operations"),
    ("upsample_trilinear3d grid_sampler_3d", per_output("upsample", 21), "seven linear interpolations"),
    ("upsample_bicubic2d _upsample_bicubic2d_aa", per_output("upsample", 35), "five cubics of seven operations"),
    ("embedding", count.embedding, "rows looked up are read, the table is not"),
    ("_embedding_bag _embedding_bag_forward_only", count.embedding_bag, "rows looked up are read and summed"),
    ("embedding_dense_backward", per_output("embedding_backward", 1), count.ELEMENTS),
    ("index index_select gather take _unsafe_index unfold_copy", count.part("gather"), "no more is read than written"),
    ("""clone copy_ contiguous cat stack constant_pad_nd reflection_pad1d reflection_pad2d replication_pad2d
        replication_pad1d replication_pad3d reflection_pad3d _pad_circular roll flip repeat repeat_interleave
        pixel_shuffle pixel_unshuffle im2col col2im channel_shuffle native_channel_shuffle slice_scatter select_scatter
        index_put index_put_ _index_put_impl_ _unsafe_index_put scatter scatter_ scatter_src index_copy index_copy_
        index_fill masked_scatter tril triu tril_ triu_ rot90 copy _reshape_copy view_copy permute_copy transpose_copy
        expand_copy slice_backward select_backward unfold_backward index_add index_add_ scatter_add scatter_add_
        scatter_reduce scatter_reduce_ diagonal_scatter as_strided_scatter block_diag one_hot nonzero_static bucketize
        searchsorted""", count.copy, "read once, written once"),
    ("_to_copy", count.cast, "read once, written once"),
    ("_fft_r2c _fft_c2r _fft_c2c", count.fft, "Frigo and Johnson, FFTW benchmark methodology: 5 n log2 n"),
    ("sort topk kthvalue msort argsort", count.sort, "n log2 n comparisons"),
    ("""sum mean prod amax amin max min argmax argmin any all cumsum cumprod logcumsumexp cummax cummin logsumexp norm
        linalg_vector_norm count_nonzero std aminmax median nanmedian mode nansum _cdist_forward histc bincount""",
     per_input("reduction"), "one operation for each element read"),
    ("var var_mean std_mean", per_input("reduction", 4), "mean, subtract, square, add"),
    ("""fill_ zero_ full ones zeros arange linspace eye scalar_tensor zeros_like ones_like full_like new_zeros new_ones
        new_full rand randn rand_like randn_like randint randperm bernoulli bernoulli_ uniform_ normal_ native_dropout
        tril_indices triu_indices exponential_ logspace fill""", per_output("fill"), "written once"),
)  # fmt: skip
"""Operators whose cost is more than one operation an element, and those that only move data: their names, the count,
and its source.
"""


def _names(text: str) -> tuple[str, ...]:
    return tuple(f"aten.{name}" for name in text.split())


_FREE = """
    detach alias view _unsafe_view _reshape_alias lift_fresh lift lift_fresh_copy empty empty_strided empty_like
    new_empty new_empty_strided set_ resize_ is_same_size sym_size sym_numel sym_stride sym_storage_offset
    _local_scalar_dense _assert_async _assert_scalar _assert_tensor_metadata broadcast_tensors is_pinned
    _has_compatible_shallow_copy_type record_stream _to_sparse _nested_tensor_from_mask_left_aligned _version
    _is_all_true _is_any_true empty_permuted resolve_conj resolve_neg unbind _conj view_as_real view_as_complex
    as_strided as_strided_ unsafe_split unsafe_split_with_sizes unsafe_chunk transpose_ t_ squeeze_ unsqueeze_
    swapdims_ swapaxes_ detach_
"""
FREE = frozenset(_names(_FREE))
"""Operators that launch no kernel: views, allocations, questions about shapes."""

PER_ELEMENT: dict[str, int] = {
    operator: each
    for each, operators in {
        1: "floor_divide threshold_backward",
        2: "hardtanh hardtanh_ clamp clamp_",
        3: "sigmoid_backward softplus addcmul addcmul_ addcdiv addcdiv_ lerp lerp_ tanh_backward",
        4: "sigmoid sigmoid_ hardsigmoid hardsigmoid_ elu elu_ log_sigmoid_forward",
        5: "gelu silu silu_ hardswish hardswish_",
        6: "mish mish_",
        8: "silu_backward",
        10: "gelu_backward",
    }.items()
    for operator in _names(operators)
}
"""Operations an element of the pointwise operators that take more than one."""

_TABLE = {name: Formula(cost, reference) for names, cost, reference in FORMULAS for name in _names(names)}


def register(operator: str, cost: Callable[[Call], Cost], reference: str) -> None:
    """Give a custom operator a formula: `register("mylib.attend", lambda call: Cost("attention", macs=...), "paper")`.

    `operator` is the namespace and name without the overload, as `uncounted` prints it.
    """
    _TABLE[operator] = Formula(cost, reference)


def cost(call: Call, pointwise: bool, reduction: bool) -> Cost | None:
    """Return the cost of a call; None for an unknown operator. Tags are torch's own.

    Operators in place (`add_`) cost what those without the `_` do.
    """
    formula = _TABLE.get(call.name) or _TABLE.get(call.name.rstrip("_"))
    if formula:
        return formula.cost(call)
    if pointwise or call.name in PER_ELEMENT:
        return Cost("elementwise", elementwise_flops=PER_ELEMENT.get(call.name, 1) * call.written)
    if reduction and call.args and isinstance(call.args[0], Tensor):
        return Cost("reduction", elementwise_flops=call.args[0].elements)
    return None
