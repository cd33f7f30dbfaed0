"""Layers that repeat in blocks are one row with their sums; others stay as they are."""

import pytest

from hwbench.machine import catalog
from hwbench.predict.estimate import estimate
from hwbench.report.text.estimate import grouped
from hwbench.report.text.workload import summary
from hwbench.workload import load
from hwbench.workload.counting import count
from hwbench.workload.ops import Op, Workload


@pytest.mark.parametrize("model", ["bert-base", "vit-b-16", "resnet50", "alexnet"])
def test_groups_add_up_to_the_network(model: str) -> None:
    found = estimate(load.workload(model), catalog.device("rtx3090"))
    groups = grouped(found.layers)
    assert sum(group.flops for group in groups) == found.flops
    assert sum(group.count for group in groups) == sum(layer.count for layer in found.layers)
    assert sum(group.expected_time_s or 0.0 for group in groups) == pytest.approx(
        sum(layer.expected_time_s or 0.0 for layer in found.layers)
    )


def test_blocks_of_a_transformer_are_one_row_each() -> None:
    found = estimate(load.workload("bert-base"), catalog.device("rtx3090"))
    counts = {group.name: group.count for group in grouped(found.layers)}
    assert counts["encoder.layer.*.intermediate.dense"] == 12
    assert len(counts) < 25


def test_layers_without_another_like_them_keep_their_names() -> None:
    found = estimate(load.workload("lenet5"), catalog.device("rtx3090"))
    assert {"c1", "c3", "c5"} <= {group.name for group in grouped(found.layers)}


def test_a_count_lists_what_blocks_repeat_in_one_row_unless_all_layers_are_wanted() -> None:
    found = count(load.workload("bert-base"), "flop", "fp32", 32)
    dense = "encoder.layer.*.output.dense ×12"
    (row,) = (line.split() for line in summary(found) if line.startswith(dense))
    single = next(layer for layer in found.layers if layer.name == "encoder.layer.0.output.dense")
    assert row[4:6] == [f"{12 * single.params:,}", f"{12 * single.flops:,}"]
    every = "\n".join(summary(found, all_layers=True))
    assert dense not in every
    assert all(f"encoder.layer.{block}.output.dense " in every for block in range(12))


@pytest.mark.parametrize("times", [1, 25])
def test_alike_operators_of_a_trace_are_said_to_be_named_by_the_first(times: int) -> None:
    op = Op("elementwise", (8,), input_elements=8, output_elements=8, name="embeddings:add", count=times)
    traced = Workload("traced", "traced", (8,), (op,))
    found = estimate(traced, catalog.device("rtx3090"))
    for text in (summary(count(traced, "flop", "fp32", 32)), str(found).split("\n")):
        assert any(line.startswith("×N: ") for line in text) is (times > 1)
