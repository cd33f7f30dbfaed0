"""Fusion by the stated rules, on graphs small enough to do by hand."""

import random

import pytest

from hwbench.workload.formulas.tally import Amount
from hwbench.workload.tracing import fusion
from hwbench.workload.tracing.fusion import Access, Node, norms_of_images, savings


def node(kind: str, reads: list[int], writes: list[int], extent: int = 10) -> Node:
    """An op over `extent` elements; each tensor counts so many."""
    return Node(kind, extent, *(tuple(Access(t, Amount(extent)) for t in some) for some in (reads, writes)))


def test_a_chain_reads_its_first_tensor_and_writes_its_last() -> None:
    found = savings(
        [node("conv", [0], [1]), node("batch_norm", [1], [2]), node("relu", [2], [3]), node("conv", [3], [4])]
    )
    assert [one.fused for one in found] == [False, False, True, False]
    assert [one.amount.elements for one in found] == [0, 10, 10, 0]  # what batch norm writes and relu reads


def test_a_result_that_somebody_else_reads_is_written() -> None:
    found = savings([node("relu", [0], [1]), node("add", [1, 0], [2]), node("conv", [1], [3])])
    assert [one.fused for one in found] == [False, True, False]
    assert found[0].amount.elements == 0  # the convolution reads it
    assert found[1].amount.elements == 20  # both of its inputs are at hand already


def test_both_sides_of_a_residual_end_in_one_kernel() -> None:
    nodes = [
        node("conv", [0], [1]),
        node("batch_norm", [1], [2]),
        node("conv", [0], [3]),
        node("batch_norm", [3], [4]),
        node("add", [2, 4], [5]),
        node("relu", [5], [6]),
    ]
    assert [one.fused for one in savings(nodes)] == [False, False, False, True, True, True]


def test_three_kernels_become_one_whose_later_ops_join_it() -> None:
    """Ops that were merged into the kernel of another are merged with it again."""
    chains = [n for i in (0, 2, 4) for n in (node("conv", [10], [i]), node("relu", [i], [i + 1]))]
    sums = [node("add", [1, 3], [6]), node("add", [6, 5], [7]), node("add", [7, 1], [8])]
    found = savings([*chains, *sums])
    assert [one.fused for one in found] == [False, False, False, True, False, True, True, True, True]
    assert found[8].amount.elements == 20  # both are in its kernel


def test_nothing_joins_a_kernel_that_its_other_input_waits_for() -> None:
    """As in squeeze-and-excitation: the gate depends on what it is multiplied with."""
    nodes = [
        node("relu", [0], [1]),
        node("reduction", [1], [2]),
        node("linear", [2], [3], 1),
        node("elementwise", [1, 3], [4]),
    ]
    found = savings(nodes)
    assert [one.fused for one in found] == [False, True, False, False]
    assert found[3].amount.elements == 0


def test_other_sizes_and_other_kinds_stay_apart() -> None:
    assert not any(one.fused for one in savings([node("relu", [0], [1], 10), node("upsample", [1], [2], 40)]))
    assert not any(one.fused for one in savings([node("linear", [0], [1]), node("attention", [1], [2])]))
    assert savings([]) == []


def test_in_place_ops_read_what_was_written_before() -> None:
    found = savings([node("add", [0, 1], [2]), node("relu", [2], [2]), node("conv", [2], [3])])
    assert [one.fused for one in found] == [False, True, False]
    assert [one.amount.elements for one in found] == [10, 10, 0]


def test_layer_norms_that_a_convolution_reads() -> None:
    nodes = [
        node("layer_norm", [0], [1]),
        node("pointwise_conv", [1], [2]),
        node("layer_norm", [2], [3]),
        node("linear", [3], [4]),
    ]
    assert norms_of_images(nodes) == {0}


@pytest.mark.parametrize("seed", range(30))
def test_shorter_sets_of_needs_give_the_same_kernels(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Graphs of random ops, in which tensors are written again: whatever the number of bits, the same is saved."""
    draw = random.Random(seed)
    kinds, nodes = ("elementwise", "copy", "reduction", "linear"), []
    for position in range(100):
        reads, writes = ([position // 8 * 3 + draw.randrange(12) for _ in range(draw.randint(1, 3))] for _ in range(2))
        nodes.append(node(draw.choice(kinds), reads, writes[:2], draw.choice((4, 4, 4, 8))))
    found = []
    for bits, kernels in ((1000, 0), (4, 1000), (4, 6)):
        monkeypatch.setattr(fusion, "_BITS", bits)
        monkeypatch.setattr(fusion, "_KERNELS", kernels)
        found.append(savings(nodes))
    assert found[0] == found[1] == found[2]
    assert {one.fused for one in found[0]} == {True, False}
