"""Costs of rarer operators, worked out by hand: distances, decompositions, losses, complex numbers, lists."""

from math import prod
from typing import Any

import pytest

from hwbench.workload.formulas import aten
from hwbench.workload.formulas.cost import Call, Cost, Tensor


def tensor(*shape: int, **more: Any) -> Tensor:
    return Tensor(shape, prod(shape), **more)


def cost(name: str, *args: Any, out: Any = None, pointwise: bool = False, **kwargs: Any) -> Cost:
    found = aten.cost(
        Call(f"aten.{name}" if "." not in name else name, args, kwargs, (out,) if out else ()), pointwise, False
    )
    assert found is not None
    return found


def flops(name: str, *args: Any, out: Any = None) -> int:
    found = cost(name, *args, out=out)
    assert (found.macs, found.bias_adds) == (0, 0)
    return found.elementwise_flops


def test_distances_are_a_product_from_26_points_on() -> None:
    few = tensor(2, 5, 8), tensor(2, 25, 8)
    assert flops("_cdist_forward", *few, 2.0, None, out=tensor(2, 5, 25)) == 3 * 2 * 5 * 25 * 8
    many = tensor(2, 5, 8), tensor(2, 26, 8)
    found = cost("_cdist_forward", *many, 2.0, None, out=tensor(2, 5, 26))
    assert found.macs == 2 * 5 * 26 * 8
    assert found.elementwise_flops == 2 * (80 + 416) + 3 * 260  # squares of both, then two sums and a root
    assert flops("_cdist_forward", *many, 1.0, None, out=tensor(2, 5, 26)) == 3 * 260 * 8
    assert flops("_cdist_forward", *many, 2.0, 2, out=tensor(2, 5, 26)) == 3 * 260 * 8
    assert cost("_cdist_forward", *few, 2.0, 1, out=tensor(2, 5, 25)).macs == 250 * 8
    assert flops("_pdist_forward", tensor(4, 8), 2.0, out=tensor(6)) == 3 * 6 * 8
    assert flops("_cdist_backward", tensor(5, 25), tensor(5, 8), tensor(25, 8), 2.0, out=tensor(5, 8)) == 6 * 125 * 8


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linalg_cholesky_ex", 2 * 72),  # 6³ / 3
        ("linalg_lu_factor_ex", 2 * 144),
        ("linalg_inv_ex", 2 * 432),
        ("_linalg_svd", 2 * 21 * 216),
        ("_linalg_eigh", 2 * 9 * 216),
    ],
)
def test_decompositions_of_two_matrices(name: str, expected: int) -> None:
    assert flops(name, tensor(2, 6, 6), out=tensor(2, 6, 6)) == expected


def test_decomposition_of_a_tall_matrix_and_solutions() -> None:
    assert flops("linalg_qr", tensor(9, 6), out=tensor(9, 6)) == round(4 / 3 * 9 * 6 * 6)
    assert flops("linalg_solve_triangular", tensor(6, 6), tensor(6, 5), out=tensor(6, 5)) == 6 * 6 * 5
    assert flops("triangular_solve", tensor(6, 5), tensor(6, 6), out=tensor(6, 5)) == 6 * 6 * 5
    assert flops("_linalg_solve_ex", tensor(6, 6), tensor(6, 5), out=tensor(6, 5)) == 2 * 6 * 6 * 5 + 144


def test_a_grid_by_a_matrix_of_two_rows_and_three_columns() -> None:
    assert cost("affine_grid_generator", tensor(2, 2, 3), [2, 3, 5, 7], out=tensor(2, 5, 7, 2)).macs == 2 * 35 * 2 * 3


def test_convolution_of_samples_between_pixels() -> None:
    args = tensor(2, 4, 6, 6), tensor(8, 4, 3, 3), tensor(2, 18, 6, 6), tensor(2, 9, 6, 6), tensor(8)
    found = cost("torchvision.deform_conv2d", *args, out=tensor(2, 8, 6, 6))
    assert (found.macs, found.bias_adds) == (2 * 8 * 36 * 4 * 9, 2 * 8 * 36)
    assert found.elementwise_flops == 10 * 2 * 4 * 36 * 9
    back = cost("torchvision._deform_conv2d_backward", tensor(2, 8, 6, 6), *args, out=args[0])
    assert back.macs == 2 * found.macs
    aligned = cost("torchvision.roi_align", args[0], tensor(5, 5), 1.0, 7, 7, 2, True, out=tensor(5, 4, 7, 7))
    assert aligned.elementwise_flops == 10 * 4 * 5 * 4 * 49


@pytest.mark.parametrize(
    ("name", "each"),
    [("mse_loss", 3), ("smooth_l1_loss", 6), ("huber_loss", 6), ("binary_cross_entropy_with_logits", 10)],
)
def test_losses_by_the_element(name: str, each: int) -> None:
    assert flops(name, tensor(4, 10), tensor(4, 10), out=tensor()) == 40 * each


def test_losses_by_the_target() -> None:
    picked = cost("nll_loss_forward", tensor(4, 10), tensor(4), None, 1, -100, out=tensor())
    assert (picked.elementwise_flops, picked.reads) == (8, 4)
    assert flops("multilabel_margin_loss_forward", tensor(4, 10), tensor(4, 10), out=tensor()) == 4 * 4 * 10 * 10
    ctc = tensor(50, 2, 20), tensor(2, 8), [50, 50], [8, 8]
    assert flops("_ctc_loss", *ctc, out=tensor(2)) == 7 * 50 * 2 * 17
    assert flops("_ctc_loss_backward", tensor(2), *ctc, out=ctc[0]) == 7 * 50 * 2 * 17
    joined = tensor(50, 2, 20), tensor(16), [50, 50], [8, 8]
    assert flops("_ctc_loss", *joined, out=tensor(2)) == 7 * 50 * 2 * 17


def test_gradients_go_back_to_each_neighbor() -> None:
    gradient = tensor(2, 3, 8, 8)
    for name, neighbors in (("linear1d", 2), ("bilinear2d", 4), ("trilinear3d", 8), ("bicubic2d", 16)):
        assert flops(f"upsample_{name}_backward", gradient, out=tensor(2, 3, 4, 4)) == 384 * 2 * neighbors
    assert flops("reflection_pad2d_backward", gradient, tensor(2, 3, 6, 6), [1] * 4, out=tensor(2, 3, 6, 6)) == 384


def test_attention_of_tokens_before_heads_and_of_sequences_in_one() -> None:
    q, k = tensor(2, 10, 4, 8), tensor(2, 12, 4, 8)
    each = 4 * 10 * 12 * 8
    assert cost("_flash_attention_forward", q, k, k, None, None, 10, 12, 0.0, False, out=q).macs == 2 * 2 * each
    assert cost("_efficient_attention_forward", q, k, k, None, None, None, None, None, out=q).macs == 2 * 2 * each
    joined, starts = tensor(30, 4, 8), tensor(4, floating=False)  # three sequences
    found = cost("_flash_attention_forward", joined, joined, joined, starts, starts, 10, 12, 0.0, False, out=joined)
    assert found.macs == 3 * 2 * each
    back = cost("_flash_attention_backward", q, q, k, k, q, tensor(2, 4, 10), None, None, 10, 12, out=q)
    assert back.macs == 2 * 5 * each


def test_products_with_packed_weights() -> None:
    assert cost("_weight_int4pack_mm", tensor(3, 64), tensor(1, 2, 8, 4), 32, out=tensor(3, 16)).macs == 3 * 64 * 16


def test_complex_numbers_in_real_operations() -> None:
    """(a + bi)(c + di) takes four products and two sums; a multiply-add of them four real multiply-adds."""
    a, b, out = (tensor(*shape, dtype="complex64") for shape in ((3, 4), (4, 5), (3, 5)))
    assert cost("mm", a, b, out=out).macs == 4 * 60
    assert cost("addmm", out, a, b, out=out).bias_adds == 2 * 15
    assert cost("mul", a, a, out=a, pointwise=True).elementwise_flops == 6 * 12
    assert cost("add", a, a, out=a, pointwise=True).elementwise_flops == 2 * 12
    assert cost("polar", tensor(3, 4), tensor(3, 4), out=a).elementwise_flops == 4 * 12


def test_lists_of_tensors_and_copies_of_views() -> None:
    parts = [tensor(3), tensor(4, 5)]
    assert flops("_foreach_add", parts, parts, out=parts[0]) == 23
    assert flops("_foreach_addcmul_", parts, parts, parts, out=None) == 69
    assert flops("_foreach_zero_", parts, out=None) == 0


@pytest.mark.parametrize(
    ("name", "options", "each"),
    [
        ("_fused_adam_", {}, 13),  # two averages (3, 4), root, divide, add, and multiply, divide, subtract
        ("_fused_adam_", {"weight_decay": 0.1, "amsgrad": True}, 13 + 2 + 1),
        ("_fused_adamw_", {"weight_decay": 0.1, "maximize": True}, 13 + 1 + 1),
        ("_fused_sgd_", {"momentum": 0.0}, 2),
        ("_fused_sgd_", {"momentum": 0.9, "nesterov": True}, 6),
        ("_fused_adagrad_", {"weight_decay": 0.1}, 7 + 2),
    ],
)
def test_updates_cost_what_their_options_ask_for(name: str, options: dict[str, Any], each: int) -> None:
    parts = [tensor(4, 5), tensor(3)]
    assert cost(name, parts, parts, parts, parts, **options).elementwise_flops == each * 23
    assert cost("transpose_copy", tensor(3, 4), 0, 1, out=tensor(4, 3)).kind == "copy"
    assert cost("masked_fill_", tensor(3, 4), tensor(3, 4), 0.0, out=tensor(3, 4)).elementwise_flops == 12
