"""Costs of torch's operators in one table, and operators that launch no kernel.

An operator is a row of FORMULAS, pointwise or a reduction (torch tags those itself), FREE (a view or an allocation), or
unknown, which the tracer reports as uncounted. torch is not imported.
"""

from collections.abc import Callable
from functools import partial

import msgspec

from hwbench.workload.formulas import attention, quantized, special
from hwbench.workload.formulas import cost as count
from hwbench.workload.formulas.cost import Call, Cost, Formula, Tensor, norm, per_input, per_output, row_wise

_FOREACH = "aten._foreach_"
_GOLUB = "Golub and Van Loan, Matrix Computations: operations of the algorithms of LAPACK, in n³"
_UPDATES = "aten/src/ATen/native/cuda/fused_adam_utils.cuh and its siblings, factors of all elements computed once"
_NEIGHBORS = "each neighbor takes a weight of the gradient: a product and a sum"
_ATTENTION = "two products forward (Vaswani et al., arXiv:1706.03762), five backward (Dao et al., arXiv:2205.14135)"

FORMULAS: tuple[tuple[str, Callable[[Call], Cost], str], ...] = (
    ("mm bmm matmul _int_mm _scaled_mm _scaled_mm_v2", count.mm, count.PRODUCTS),
    ("addmm baddbmm _addmm_activation addbmm _sparse_addmm", count.addmm, count.PRODUCTS),
    ("_sparse_sparse_matmul _sparse_mm", count.mm, "each element held by the row that it meets, on average"),
    ("""quantized.linear quantized.linear_relu quantized.linear_leaky_relu quantized.linear_tanh
        quantized.linear_dynamic quantized.linear_relu_dynamic quantized.linear_dynamic_fp16
        quantized.linear_relu_dynamic_fp16""", quantized.linear, count.PRODUCTS),
    ("onednn.qlinear_pointwise", count.packed_linear, count.PRODUCTS),
    ("quantized.matmul", quantized.matmul, count.PRODUCTS),
    ("quantized_lstm quantized_gru quantized.quantized_lstm_cell_dynamic quantized.quantized_gru_cell_dynamic"
     " quantized.quantized_rnn_relu_cell_dynamic quantized.quantized_rnn_tanh_cell_dynamic", quantized.recurrent,
     "as lstm, after a quantization of the data"),
    ("""quantized.conv1d quantized.conv2d quantized.conv3d quantized.conv1d_relu quantized.conv2d_relu
        quantized.conv3d_relu quantized.conv1d_dynamic quantized.conv2d_dynamic quantized.conv3d_dynamic
        quantized.conv_transpose1d quantized.conv_transpose2d quantized.conv_transpose3d
        quantized.conv_transpose1d_dynamic quantized.conv_transpose2d_dynamic quantized.conv_transpose3d_dynamic
        quantized.conv2d_add quantized.conv2d_add_relu""", quantized.convolution, count.CONVOLUTIONS),
    ("quantized.embedding_byte quantized.embedding_4bit", quantized.embedding(1), "rows are read and scaled"),
    ("quantized.embedding_bag_byte quantized.embedding_bag_4bit", quantized.embedding(1), "and summed"),
    ("""quantized.batch_norm quantized.batch_norm_relu quantized.batch_norm1d quantized.batch_norm1d_relu
        quantized.batch_norm2d quantized.batch_norm2d_relu quantized.batch_norm3d quantized.batch_norm3d_relu""",
     norm("batch_norm", 6), f"{count.BATCH_NORM}, and a change of scale"),
    ("quantized.layer_norm quantized.group_norm quantized.instance_norm", norm("layer_norm", 11),
     f"{count.LAYER_NORM}, and a change of scale"),
    ("quantized.softmax", row_wise("softmax", 9), count.ELEMENTS),
    ("quantized.max_pool1d quantized.max_pool2d quantized_max_pool1d quantized_max_pool2d quantized_max_pool3d",
     count.pool, count.ELEMENTS),
    ("mv addmv dot vdot", count.vector_product, count.PRODUCTS),
    ("linear", count.linear, count.PRODUCTS),
    ("""_weight_int4pack_mm _weight_int4pack_mm_for_cpu _weight_int4pack_mm_with_scales_and_zeros _weight_int8pack_mm
        _mixed_dtypes_linear _dyn_quant_matmul_4bit""",
     count.packed_linear, count.PRODUCTS),
    ("_grouped_mm _scaled_grouped_mm _scaled_grouped_mm_v2", count.grouped_mm, count.PRODUCTS),
    ("_grouped_mm_backward", count.grouped_mm_backward, count.PRODUCTS),
    ("lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell", count.recurrent,
     "Hochreiter and Schmidhuber 1997; Cho et al., arXiv:1406.1078"),
    ("lstm_backward gru_backward rnn_tanh_backward rnn_relu_backward", count.recurrent_backward,
     "Werbos 1990, backpropagation through time"),
    ("_cudnn_rnn miopen_rnn mkldnn_rnn_layer", count.recurrent_kernel(1), "the same, as one kernel of a backend"),
    ("_cudnn_rnn_backward miopen_rnn_backward mkldnn_rnn_layer_backward", count.recurrent_kernel(2), count.PRODUCTS),
    ("_trilinear", count.trilinear, "torch.nn.Bilinear's definition: y = x1ᵀ A x2 + b"),
    ("_cdist_forward _euclidean_dist", special.distances, "x² - 2 x·y + y², a product from 26 points on as in torch"),
    ("_cdist_backward _pdist_backward", special.per_pair(6), count.ELEMENTS),
    ("_pdist_forward", special.own_distances, count.ELEMENTS),
    ("affine_grid_generator", special.affine_grid, "Jaderberg et al., arXiv:1506.02025: a matrix times each position"),
    ("linalg_cross", per_output("elementwise", 3), "two products and a difference"),
    ("cholesky linalg_cholesky_ex linalg_ldl_factor_ex", special.decomposition(1 / 3), _GOLUB),
    ("linalg_lu linalg_lu_factor_ex _linalg_det _linalg_slogdet cholesky_inverse",
     special.decomposition(2 / 3), _GOLUB),
    ("linalg_qr geqrf linalg_householder_product linalg_lstsq", special.decomposition(4 / 3), _GOLUB),
    ("linalg_inv_ex", special.decomposition(2), _GOLUB),
    ("_linalg_eigh", special.decomposition(9), _GOLUB),
    ("_linalg_eigvals", special.decomposition(10), _GOLUB),
    ("_linalg_svd linalg_pinv", special.decomposition(21), _GOLUB),
    ("linalg_eig linalg_matrix_exp", special.decomposition(25), _GOLUB),
    ("linalg_solve_triangular", special.solve(0, 1), _GOLUB),
    ("triangular_solve", special.solve(1, 0), _GOLUB),
    ("cholesky_solve linalg_ldl_solve", special.solve(1, 0, 2), _GOLUB),
    ("linalg_lu_solve", special.solve(0, 2, 2), _GOLUB),
    ("_linalg_solve_ex", special.solve(0, 1, 2, 2 / 3), _GOLUB),
    ("ormqr", special.solve(0, 2, 4), _GOLUB),
    ("convolution _convolution convolution_overrideable", count.convolution, count.CONVOLUTIONS),
    ("conv_tbc", special.conv_tbc, count.CONVOLUTIONS),
    ("torchvision.deform_conv2d", special.deform_conv(4), "Dai et al., arXiv:1703.06211"),
    ("torchvision._deform_conv2d_backward", special.deform_conv_backward, "Dai et al., arXiv:1703.06211"),
    ("torchvision.roi_align torchvision.ps_roi_align", special.roi_align, "He et al., arXiv:1703.06870, section 3"),
    ("torchvision._roi_align_backward torchvision._ps_roi_align_backward", per_input("roi_align_backward", 10),
     "He et al., arXiv:1703.06870, section 3"),
    ("torchvision.roi_pool torchvision.ps_roi_pool", per_input("max_pool"), count.ELEMENTS),
    ("torchvision.nms", special.sort, "n log2 n comparisons of scores"),
    ("convolution_backward convolution_backward_overrideable", count.convolution_backward, count.CONVOLUTIONS),
    ("""scaled_dot_product_attention _scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention
        _scaled_dot_product_cudnn_attention _scaled_dot_product_flash_attention_for_cpu
        _scaled_dot_product_attention_math _scaled_dot_product_fused_attention_overrideable
        flex_attention""", attention.attention_call, _ATTENTION),
    ("_flash_attention_forward _efficient_attention_forward", attention.packed_attention_call, _ATTENTION),
    ("_flash_attention_backward _efficient_attention_backward", attention.packed_attention_backward_call, _ATTENTION),
    ("""scaled_dot_product_attention_backward _scaled_dot_product_flash_attention_backward
        _scaled_dot_product_efficient_attention_backward _scaled_dot_product_cudnn_attention_backward
        _scaled_dot_product_flash_attention_for_cpu_backward
        _scaled_dot_product_fused_attention_overrideable_backward""", attention.attention_backward_call, _ATTENTION),
    ("""native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm
        _batch_norm_with_update _batch_norm_no_update batch_norm_elemt _batch_norm_with_update_functional
        _native_batch_norm_legit_functional quantized_batch_norm""", norm("batch_norm", 2), count.BATCH_NORM),
    ("native_layer_norm", norm("layer_norm", 7), count.LAYER_NORM),
    ("native_group_norm", norm("group_norm", 7), "Wu and He, arXiv:1803.08494"),
    ("_fused_rms_norm rms_norm", norm("rms_norm", 4), "Zhang and Sennrich, arXiv:1910.07467"),
    ("_weight_norm_interface", per_input("weight_norm", 3), "Salimans and Kingma, arXiv:1602.07868"),
    ("_weight_norm_interface_backward", per_input("weight_norm", 6), "Salimans and Kingma, arXiv:1602.07868"),
    ("""native_batch_norm_backward native_layer_norm_backward native_group_norm_backward _fused_rms_norm_backward
        cudnn_batch_norm_backward batch_norm_backward batch_norm_backward_elemt""",
     per_input("norm_backward", 10), count.ELEMENTS),
    ("_softmax _log_softmax _safe_softmax _masked_softmax", row_wise("softmax", 5), count.ELEMENTS),
    ("_softmax_backward_data _log_softmax_backward_data _masked_softmax_backward",
     per_output("softmax_backward", 4), count.ELEMENTS),
    ("""max_pool2d_with_indices max_pool3d_with_indices max_pool2d max_pool1d avg_pool1d avg_pool2d avg_pool3d""",
     count.pool, count.ELEMENTS),
    ("_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d", per_input("avg_pool"), count.ELEMENTS),
    ("adaptive_max_pool2d adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d",
     per_input("max_pool"), count.ELEMENTS),
    ("""max_pool2d_with_indices_backward max_pool3d_with_indices_backward avg_pool2d_backward avg_pool3d_backward
        _adaptive_avg_pool2d_backward _adaptive_avg_pool3d_backward adaptive_avg_pool3d_backward
        adaptive_max_pool2d_backward adaptive_max_pool3d_backward fractional_max_pool2d_backward max_pool2d_backward
        fractional_max_pool3d_backward""", per_output("pool_backward", 1), count.ELEMENTS),
    ("""upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
        _upsample_nearest_exact3d""", per_output("upsample"), "a copy of the nearest element"),
    ("upsample_linear1d", per_output("upsample", 3), "interpolation between two neighbors"),
    ("upsample_bilinear2d _upsample_bilinear2d_aa grid_sampler_2d", per_output("upsample", 9),
     "three linear interpolations of three operations"),
    ("upsample_trilinear3d grid_sampler_3d", per_output("upsample", 21), "seven linear interpolations"),
    ("upsample_bicubic2d _upsample_bicubic2d_aa", per_output("upsample", 35), "five cubics of seven operations"),
    ("_upsample_lanczos2d_aa", per_output("upsample", 77), "seven windowed sums of six products"),
    ("""upsample_nearest1d_backward upsample_nearest2d_backward upsample_nearest3d_backward
        _upsample_nearest_exact1d_backward _upsample_nearest_exact2d_backward _upsample_nearest_exact3d_backward
        reflection_pad1d_backward reflection_pad2d_backward reflection_pad3d_backward replication_pad1d_backward
        replication_pad2d_backward replication_pad3d_backward""",
     per_input("upsample_backward"), "each gradient is added"),
    ("upsample_linear1d_backward", per_input("upsample_backward", 4), _NEIGHBORS),
    ("upsample_bilinear2d_backward _upsample_bilinear2d_aa_backward", per_input("upsample_backward", 8), _NEIGHBORS),
    ("upsample_trilinear3d_backward grid_sampler_2d_backward", per_input("upsample_backward", 16), _NEIGHBORS),
    ("""upsample_bicubic2d_backward _upsample_bicubic2d_aa_backward grid_sampler_3d_backward""",
     per_input("upsample_backward", 32), _NEIGHBORS),
    ("_upsample_lanczos2d_aa_backward", per_input("upsample_backward", 72), _NEIGHBORS),
    ("embedding", count.embedding, "rows looked up are read, the table is not"),
    ("_embedding_bag _embedding_bag_forward_only", count.embedding_bag, "rows looked up are read and summed"),
    ("embedding_dense_backward _embedding_bag_dense_backward _embedding_bag_backward",
     per_output("embedding_backward", 1), count.ELEMENTS),
    ("_embedding_bag_per_sample_weights_backward embedding_renorm", per_input("embedding_backward", 2), count.ELEMENTS),
    ("""index index_select gather take _unsafe_index _unsafe_masked_index masked_select masked_scatter_backward
        _pack_padded_sequence""", count.part("gather"), "no more is read than written"),
    ("""clone copy_ contiguous cat stack constant_pad_nd reflection_pad1d reflection_pad2d replication_pad2d
        replication_pad1d replication_pad3d reflection_pad3d _pad_circular roll flip repeat repeat_interleave
        pixel_shuffle pixel_unshuffle im2col col2im channel_shuffle native_channel_shuffle slice_scatter select_scatter
        index_put index_put_ _index_put_impl_ _unsafe_index_put scatter scatter_ scatter_src index_copy index_copy_
        index_fill masked_scatter tril triu tril_ triu_ rot90 copy _reshape_copy view_copy permute_copy transpose_copy
        expand_copy slice_backward select_backward unfold_backward index_add index_add_ scatter_add scatter_add_
        scatter_reduce scatter_reduce_ diagonal_scatter as_strided_scatter block_diag one_hot nonzero_static bucketize
        searchsorted diag_embed diagonal_backward max_unpool2d max_unpool3d max_unpool2d_backward put index_reduce
        _unsafe_masked_index_put_accumulate complex _chunk_cat _stack set lu_unpack resize resize_as to_padded_tensor
        _jagged_to_padded_dense_forward _padded_dense_to_jagged_forward int_repr _transform_bias_rescale_qkv
        _lazy_clone _pin_memory _coalesce _to_dense _nested_tensor_from_tensor_list
        _nested_from_padded _nested_from_padded_and_nested_example quantized.cat quantized.cat_relu prims.copy_to
        prims.device_put prims.collapse prims.reshape prims.rev""", count.copy, "read once, written once"),
    ("_to_copy prims.convert_element_type", count.cast, "read once, written once"),
    ("_fft_r2c _fft_c2r _fft_c2c", special.fft, "Frigo and Johnson, FFTW benchmark methodology: 5 n log2 n"),
    ("_fused_sgd", special.fused_update(2, momentum=2, weight_decay=2, nesterov=2, maximize=1), _UPDATES),
    ("_fused_adagrad", special.fused_update(7, weight_decay=2, maximize=1), _UPDATES),
    ("_fused_adam", special.fused_update(13, weight_decay=2, amsgrad=1, maximize=1), _UPDATES),
    ("_fused_adamw", special.fused_update(13, weight_decay=1, amsgrad=1, maximize=1), _UPDATES),
    ("sort topk kthvalue msort argsort _unique _unique2 unique_dim isin", special.sort, "n log2 n comparisons"),
    ("""sum mean prod amax amin max min argmax argmin any all cumsum cumprod logcumsumexp cummax cummin logsumexp norm
        linalg_vector_norm count_nonzero std aminmax _aminmax median nanmedian mode nansum histc bincount trace nonzero
        unique_consecutive unique_dim_consecutive multinomial segment_reduce _segment_reduce_backward renorm
        _cummax_helper _cummin_helper _logcumsumexp hash_tensor histogram _histogramdd_from_bin_cts
        _histogramdd_from_bin_tensors _histogramdd_bin_edges batch_norm_backward_reduce equal allclose
        _amp_foreach_non_finite_check_and_unscale""",
     per_input("reduction"), "one operation for each element read"),
    ("var var_mean std_mean batch_norm_stats batch_norm_update_stats batch_norm_gather_stats native_norm",
     per_input("reduction", 4), "mean, subtract, square, add"),
    ("nll_loss_forward nll_loss2d_forward", special.picked_loss, "one element a target: weigh, add"),
    ("mse_loss dist", per_input("reduction", 3), "subtract, square, add"),
    ("multi_margin_loss soft_margin_loss", per_input("reduction", 5), count.ELEMENTS),
    ("smooth_l1_loss huber_loss", per_input("reduction", 6), "subtract, absolute value, compare, square, halve, add"),
    ("binary_cross_entropy", per_input("reduction", 8), "two logarithms, two products, two differences, two sums"),
    ("binary_cross_entropy_with_logits", per_input("reduction", 10), "(1 - t) x + max(-x, 0) + log(1 + e^-|x|), add"),
    ("multilabel_margin_loss_forward multilabel_margin_loss_backward", special.margins, "each class with each target"),
    ("_ctc_loss _ctc_loss_backward", special.ctc, "Graves et al. 2006, equations 6 and 10"),
    ("multi_margin_loss_backward nll_loss_backward nll_loss2d_backward", per_output("elementwise", 1), count.ELEMENTS),
    ("_thnn_fused_lstm_cell _thnn_fused_gru_cell _thnn_fused_lstm_cell_backward_impl _thnn_fused_gru_cell_backward",
     per_input("elementwise", 5), count.ELEMENTS),
    ("""fill_ zero_ full ones zeros arange linspace eye scalar_tensor zeros_like ones_like full_like new_zeros new_ones
        new_full rand randn rand_like randn_like randint randperm bernoulli bernoulli_ uniform_ normal_ native_dropout
        tril_indices triu_indices exponential logspace fill zero range random uniform normal normal_functional
        cauchy geometric log_normal binomial poisson randint_like _standard_gamma _sample_dirichlet bartlett_window
        blackman_window hamming_window hann_window kaiser_window fft_fftfreq fft_rfftfreq
        _philox_normal _philox_uniform prims.iota""", per_output("fill"), "written once"),
)  # fmt: skip
"""Operators whose cost is more than one operation an element, and those that only move data: their names, the count,
and its source.
"""


def _names(text: str) -> tuple[str, ...]:
    return tuple(name if "." in name else f"aten.{name}" for name in text.split())


_FREE = """
    detach alias view _unsafe_view _reshape_alias lift_fresh lift lift_fresh_copy empty empty_strided empty_like
    new_empty new_empty_strided set_ resize_ is_same_size sym_size sym_numel sym_stride sym_storage_offset
    _local_scalar_dense _assert_async _assert_scalar _assert_tensor_metadata broadcast_tensors is_pinned
    _has_compatible_shallow_copy_type record_stream _to_sparse _nested_tensor_from_mask_left_aligned _version
    _is_all_true _is_any_true empty_permuted resolve_conj resolve_neg unbind _conj view_as_real view_as_complex
    as_strided as_strided_ unsafe_split unsafe_split_with_sizes unsafe_chunk transpose_ t_ squeeze_ unsqueeze_
    swapdims_ swapaxes_ detach_ resize_as_ set _resize_output_ is_set_to sym_constrain_range _efficientzerotensor
    sym_constrain_range_for_size _assert_scalar _functional_assert_async _functional_assert_scalar _print
    _has_same_storage_numel _fused_sdp_choice _linalg_check_errors _nested_tensor_size _nested_tensor_strides
    _nested_tensor_storage_offsets q_scale q_zero_point qscheme is_coalesced dense_dim
    sparse_dim _nnz _dimI _dimV _indices _values indices values crow_indices col_indices ccol_indices row_indices
    _sparse_coo_tensor_with_dims _sparse_coo_tensor_with_dims_and_tensors _sparse_coo_tensor_unsafe _coalesced_
    _sparse_compressed_tensor_unsafe _sparse_compressed_tensor_with_dims quantized.dropout prims.empty_strided
    prims.empty_permuted prims.view_of
"""
FREE = frozenset(_names(_FREE))
"""Operators that launch no kernel: views, allocations, questions about shapes."""

PER_ELEMENT: dict[str, int] = {
    operator: each
    for each, operators in {
        1: """
            abs copysign eq floor_divide gcd ge gt heaviside lcm le lt masked_fill ne threshold threshold_backward
            _add_relu _conj _neg_view __ilshift__ __irshift__ _masked_scale rsub xlogy
        """,
        2: """
            addr clamp dequantize quantized.clamp quantized.relu6 quantized.threshold hardshrink_backward
            quantized_decomposed.dequantize_per_tensor quantized_decomposed.dequantize_per_channel
            quantized_decomposed.dequantize_per_token quantized_decomposed.dequantize_per_channel_group
            hardtanh leaky_relu leaky_relu_backward _prelu_kernel
            rrelu_with_noise rrelu_with_noise_functional rrelu_with_noise_backward softshrink_backward _fused_dropout
        """,
        3: """
            addcdiv addcmul hardsigmoid_backward hardtanh_backward lerp mse_loss_backward _prelu_kernel_backward
            quantize_per_channel quantize_per_tensor sigmoid_backward softplus tanh_backward
            quantized_decomposed.quantize_per_tensor quantized_decomposed.quantize_per_channel
            quantized_decomposed.quantize_per_token quantized_decomposed.quantize_per_channel_group
            _make_per_tensor_quantized_tensor _make_per_channel_quantized_tensor
        """,
        4: """
            elu hardsigmoid log_sigmoid_forward polar sigmoid smooth_l1_loss_backward huber_loss_backward
            quantize_per_tensor_dynamic
        """,
        5: """
            elu_backward fake_quantize_per_channel_affine_cachemask fake_quantize_per_tensor_affine_cachemask
            _fake_quantize_learnable_per_channel_affine _fake_quantize_learnable_per_tensor_affine gelu glu
            _fake_quantize_per_tensor_affine_cachemask_tensor_qparams hardswish silu softplus_backward glu_jvp
            soft_margin_loss_backward binary_cross_entropy_backward quantized.add quantized.add_relu quantized.mul
            quantized.mul_relu quantized.add_scalar quantized.add_scalar_relu quantized.mul_scalar
            quantized.mul_scalar_relu quantized.leaky_relu quantized.prelu
        """,
        6: "hardswish_backward log_sigmoid_backward mish glu_backward glu_backward_jvp",
        7: """
            _fake_quantize_learnable_per_channel_affine_backward _fake_quantize_learnable_per_tensor_affine_backward
            _fused_moving_avg_obs_fq_helper _fused_moving_avg_obs_fq_helper_functional
        """,
        8: "silu_backward quantized.sigmoid quantized.hardswish quantized.elu quantized.celu",
        10: "gelu_backward _dirichlet_grad _standard_gamma_grad",
    }.items()
    for operator in _names(operators)
}
"""Operations an element of the pointwise operators that take more than one, or that torch does not tag as pointwise."""

_TABLE = {name: Formula(cost, reference) for names, cost, reference in FORMULAS for name in _names(names)}


def registered(operator: str) -> Formula | None:
    """Return the formula of the table for an operator."""
    return _TABLE.get(operator)


def set_formula(operator: str, formula: Formula | None) -> None:
    """Give an operator, named by its namespace and name as `uncounted` prints it, a formula; None takes it away."""
    if formula is None:
        _TABLE.pop(operator, None)
    else:
        _TABLE[operator] = formula


def cost(call: Call, pointwise: bool, reduction: bool) -> Cost | None:
    """Return the cost of a call; None for an unknown operator. Tags are torch's own."""
    rule = formula(call.name, pointwise, reduction)
    counted = rule(call) if rule else None
    return counted and _real(call, counted)


def formula(operator: str, pointwise: bool = False, reduction: bool = False) -> Callable[[Call], Cost | None] | None:
    """Return how an operator is counted; None for an unknown one.

    Operators in place (`add_`), on lists (`_foreach_add`) and those that copy where others view (`view_copy`) cost
    what the operator of that name does, and so do the primitives that torch's own formulas of derivatives call.
    """
    for name in (operator, operator.rstrip("_"), operator.replace("prims.", "aten.")):
        if name in _TABLE:
            return _TABLE[name].cost
        if name in PER_ELEMENT:
            return partial(_elementwise, PER_ELEMENT[name])
    if pointwise or operator.startswith("prims."):
        return partial(_elementwise, 1)
    if reduction:
        return _reduction
    if operator.startswith(_FOREACH):
        alike = operator.removeprefix(_FOREACH).rstrip("_")
        return partial(_elementwise, 0 if alike in ("clone", "copy", "zero") else PER_ELEMENT.get(f"aten.{alike}", 1))
    return count.copy if operator.endswith("_copy") else None


def _elementwise(each: int, call: Call) -> Cost:
    """Count `each` operations an element written, or an element of the first argument if that is a list."""
    lists = call.args and isinstance(call.args[0], (list, tuple))
    elements = sum(tensor.elements for tensor in call.args[0]) if lists else call.written
    return Cost("elementwise", elementwise_flops=each * elements)


def _reduction(call: Call) -> Cost | None:
    reads = call.args and isinstance(call.args[0], Tensor)
    return Cost("reduction", elementwise_flops=call.args[0].elements) if reads else None


def _real(call: Call, counted: Cost) -> Cost:
    """Return the cost in real operations: a product of complex numbers takes four and two sums, a sum two."""
    if not (call.outputs and call.outputs[0].dtype.startswith("complex")) or counted.kind == "fft":
        return counted
    each = 6 if call.name.rstrip("_") == "aten.mul" else 2 if call.name != "aten.polar" else 1
    macs, adds, flops = 4 * counted.macs, 2 * counted.bias_adds, each * counted.elementwise_flops
    return msgspec.structs.replace(counted, macs=macs, bias_adds=adds, elementwise_flops=flops)
