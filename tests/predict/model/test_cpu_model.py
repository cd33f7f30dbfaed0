"""Times of kernels on a CPU, each formula by hand on a device of round numbers."""

from typing import Any

import pytest
from msgspec.structs import replace

from hwbench.predict.model import cpu, scalar
from hwbench.predict.model.hardware import Hardware, Rates
from hwbench.predict.model.launch import Counts, Launch, Layout, Product
from hwbench.predict.model.parameters import CpuParameters

PARAMETERS = CpuParameters(
    compute={"conv": 0.5, "stem": 0.4, "linear": 0.8, "depthwise": 0.25},
    per_element={"erf": 2e-9, "pool": 1e-9, "row_norm": 3e-9, "image_norm": 5e-9, "exp": 4e-9},
    prologue=16.0, ragged=2.0, uneven=0.5, memory=0.8, cached_weights=8.0, cached_activations=16.0, reorder=3.0,
    reorder_spilled=2.0, reorder_point_spilled=6.0, packed_spilled=4.0, spill_share=0.5, resident_share=0.25,
    launch_convolution=7e-6, launch_product=5e-6, launch_light=2e-6, team_heavy=4e-6, team_light=3e-6, grain=1e5,
    lane=0.1, fusion=0.5, fresh=1e-9, packed=1.5,
)  # fmt: skip
FP32, BF16 = Rates(1e12, 32.0, False), Rates(4e12, 128.0, True)
HARDWARE = Hardware(
    kind="cpu", units=4.0, rates={"fp32": FP32, "bf16": BF16}, vector=FP32, bandwidth=5e10, cache=8e6, lanes=8.0,
    headroom=1.0, cycles=1e10, measured=frozenset(), assumed=(),
)  # fmt: skip
COUNTS = Counts(
    flops=6e9, elementwise_flops=1e6, input_bytes=1e6, weight_bytes=2e6, output_bytes=4e6, elements=56000.0,
    saved_bytes=1e6, biased_bytes=0.0,
)  # fmt: skip
CHUNKS = 56000 / (8 * 14)
UNEVEN = 1 + 0.5 * 4 / CHUNKS


def launch(family: str, counts: Counts = COUNTS, **more: Any) -> Launch:
    layout = Layout(window=9, stride=1, channels_last=False, strided=False, half=False, positions=0)
    fields: dict[str, Any] = {
        "product": Product(rows=100.0, columns=20.0, depth=180.0, groups=1.0), "layout": layout, "fused": False,
        "masked": False, "unfused": False, "backward": False, **more,
    }  # fmt: skip
    return Launch(family, 1, counts, **fields)


def compute(op: Launch, dtype: str = "fp32") -> float:
    return float(cpu.compute_time(scalar, op, HARDWARE, dtype, PARAMETERS))


def test_chunks_that_do_not_divide_evenly_cost_more() -> None:
    """56000 elements are 500 chunks of a vector by 14 positions, on 4 cores."""
    prologue = 1 + 16 / 180
    assert compute(launch("linear")) == pytest.approx(6e9 * UNEVEN * prologue / 8e11)
    assert compute(launch("linear"), "bf16") == pytest.approx(6e9 * UNEVEN * prologue / 3.2e12)
    assert compute(launch("linear"), "fp64") == compute(launch("linear"))
    few = launch("linear", replace(COUNTS, elements=10.0))
    assert compute(few) == pytest.approx(6e9 * 3.0 * prologue / 8e11)
    assert compute(launch("depthwise")) == pytest.approx(6e9 * UNEVEN / 2.5e11)


def test_channels_fill_vectors_and_a_stem_pads_only_its_results() -> None:
    """20 columns take 3 vectors of 8, as do the 180 / 9 channels of the input."""
    prologue = 1 + 16 / 180
    assert compute(launch("conv")) == pytest.approx(6e9 * UNEVEN * prologue * (24 / 20) ** 4 / 5e11)
    assert compute(launch("stem")) == pytest.approx(6e9 * UNEVEN * prologue * (24 / 20) ** 2 / 4e11)


def test_elements_on_vectors_and_one_by_one() -> None:
    arithmetic = 1e6 / 1e11
    assert compute(launch("map")) == pytest.approx(56000 / 1e11)
    assert compute(launch("batch_norm")) == pytest.approx(arithmetic)
    assert compute(launch("exp")) == pytest.approx(arithmetic + 4e-9 / 4 * 56000)
    assert compute(launch("erf")) == pytest.approx(arithmetic + 2e-9 / 4 * 56000)
    assert compute(launch("pool")) == pytest.approx(arithmetic + 1e-9 / 4 * 56000 * 9)
    assert compute(launch("row_norm")) == pytest.approx(arithmetic + 3e-9 / 4 * 56000)
    image = replace(launch("row_norm"), layout=replace(launch("map").layout, channels_last=True))
    assert compute(image) == pytest.approx(arithmetic + 5e-9 / 4 * 56000)
    turned = replace(image, layout=replace(image.layout, strided=True))  # so that its rows are contiguous
    assert compute(turned) == pytest.approx(arithmetic + 3e-9 / 4 * 56000)


def memory(family: str, weights: float, fuses: bool = False, hardware: Hardware = HARDWARE) -> float:
    return float(cpu.memory_time(scalar, launch(family), hardware, PARAMETERS, weights, fuses))


def test_bytes_beyond_the_inner_level_take_its_step_more() -> None:
    """Of 5 MB of activations beyond half of 2 MB 25 of 26 parts come from the last level, of 2 MB of weights 4 of 5."""
    stepped = replace(HARDWARE, inner=2e6, step=3e-12)
    resident, near = 1.0 / (1.0 + (2e6 / 2e6) ** 2), 1.0 / (1.0 + (5e6 / 4e6) ** 2)
    more = 3e-12 * (2e6 * resident * 4 / 5 + 5e6 * near * 25 / 26)
    assert memory("map", 2e6, hardware=stepped) - memory("map", 2e6) == pytest.approx(more)
    fused = 3e-12 * (2e6 * resident * 4 / 5 + 4.5e6 / (1.0 + (4.5 / 4) ** 2) * 20.25 / 21.25)
    assert memory("map", 2e6, True, stepped) - memory("map", 2e6, True) == pytest.approx(fused)
    assert memory("map", 2e6, hardware=replace(stepped, inner=1e12)) == pytest.approx(memory("map", 2e6))


def test_the_last_level_is_no_slower_than_memory() -> None:
    slow = replace(HARDWARE, inner=2e6, step=1.0)
    weights, activations = 2e6 / 4e10, 5e6 / 4e10
    fresh = memory("map", 2e6, hardware=replace(slow, cache=1e-9)) - weights - activations
    assert memory("map", 2e6, hardware=slow) == pytest.approx(weights + activations + fresh)


def activations(moved: float, bandwidth: float = 4e10) -> float:
    near = 1 / (1 + (moved / 4e6) ** 2)
    return moved * ((1 - near) / bandwidth + near / 16e10)


def test_weights_and_activations_come_from_memory_or_caches() -> None:
    """All weights, 4 MB, are twice what stays in a quarter of the cache; new pages are 4 MB of a result."""
    fresh = 1e-9 / 4 * 4e6 * 4e6 / (4e6 + 2**23)
    weights = 2e6 * (0.8 / 4e10 + 0.2 / 8e10)
    assert memory("map", 4e6) == pytest.approx(weights + fresh + activations(5e6))
    packed = 1 + (1.5 * (1 + 4 * 0.2) - 1) * 99 / (100 + 64)  # the op's own, 2 MB, are half of what spills
    assert memory("linear", 4e6) == pytest.approx(packed * weights + fresh + activations(5e6))
    assert memory("linear", 4e6, fuses=True) == pytest.approx(packed * weights + fresh + activations(4.5e6))
    fresh = 1e-9 / 4 * 9e6 * 9e6 / (9e6 + 2**23)  # beside it, copies of 5 MB in another order
    assert memory("conv", 4e6) == pytest.approx(3 * (1 + 2 * 0.2) * weights + fresh + activations(5e6))
    fresh = 1e-9 / 4 * 4e6 * 4e6 / (4e6 + 2**23)
    assert memory("pointwise", 4e6) == pytest.approx(3 * (1 + 6 * 0.2) * weights + fresh + activations(5e6))
    measured = replace(HARDWARE, measured=frozenset({"bandwidth"}))
    weights = 2e6 * (0.8 / 5e10 + 0.2 / 8e10)
    assert memory("map", 4e6, hardware=measured) == pytest.approx(weights + fresh + activations(5e6, 5e10))


def overhead(op: Launch, units: float = 4.0, fuses: bool = False) -> float:
    return float(cpu.overhead(scalar, op, replace(HARDWARE, units=units), PARAMETERS, fuses))


def test_a_team_costs_what_its_size_and_the_result_ask_for() -> None:
    team = 56 / 156 * 3 / 5
    assert overhead(launch("conv")) == pytest.approx(7e-6 + 4e-6 * team)
    assert overhead(launch("linear")) == pytest.approx(5e-6 + 4e-6 * team)
    assert overhead(launch("map")) == pytest.approx(2e-6 + 3e-6 * team)
    assert overhead(launch("conv"), units=1.0) == pytest.approx(7e-6)
    assert overhead(launch("conv"), units=0.5) == pytest.approx(7e-6)


def test_a_fusing_compiler_has_no_call_for_what_it_merges() -> None:
    merged = {family: launch(family, fused=True) for family in ("map", "conv")}
    assert overhead(merged["map"], fuses=True) == 0
    assert overhead(merged["map"]) > 0
    assert overhead(merged["conv"], fuses=True) == overhead(launch("conv"))
    assert overhead(launch("map"), fuses=True) == overhead(launch("map"))


def test_a_variant_has_its_own_share_where_the_runtime_has_one() -> None:
    own = replace(
        PARAMETERS, compute={**PARAMETERS.compute, "transposed": 0.25}, per_element={"map": 1e-9, "exp": 3e-9}
    )
    conv, transposed = launch("conv"), launch("conv", variant="transposed")
    times = [float(cpu.compute_time(scalar, each, HARDWARE, "fp32", own)) for each in (conv, transposed)]
    padding = (8 / (20 / 9) * 184 / 180) ** 2 / (24 / 20) ** 4  # of 20 / 9 results and 180 inputs
    assert times[1] == pytest.approx(2 * padding * times[0])
    assert compute(transposed) == pytest.approx(padding * compute(conv))
    maps = [float(cpu.compute_time(scalar, launch("map", variant=v), HARDWARE, "fp32", own)) for v in ("map", "exp")]
    assert maps[1] - maps[0] == pytest.approx(2e-9 / 4 * 56000)


def test_what_is_left_of_an_op_after_a_product() -> None:
    own = replace(PARAMETERS, epilogue={"map": 0.25})
    after = launch("map", epilogue=True)
    assert [cpu.left(scalar, each, own) for each in (launch("map"), after, launch("erf", epilogue=True))] == [
        1,
        0.25,
        1,
    ]
    assert cpu.left(scalar, after, PARAMETERS) == 1


def test_weights_are_packed_and_read_again_with_each_step() -> None:
    weights = 2e6 * (0.8 / 4e10 + 0.2 / 8e10)
    moved = memory("map", 4e6) - weights
    packed = replace(PARAMETERS, packed=3.0, rereads=0.5)
    single = Product(rows=1.0, columns=20.0, depth=180.0, groups=1.0)
    times = [
        cpu.memory_time(scalar, each, HARDWARE, packed, 4e6)
        for each in (launch("linear"), launch("linear", product=single), launch("recurrent", steps=9.0))
    ]
    reads = (1 + (3 * (1 + 4 * 0.2) - 1) * 99 / (100 + 64), 1, 1 + 0.5 * 8)
    assert times == pytest.approx([read * weights + moved for read in reads])


def test_an_allocator_keeps_what_the_weights_took() -> None:
    """New pages are 4 of 4 + 4 MB of a result, and of 2 MB more where all weights are 4 MB."""
    own = replace(PARAMETERS, recycled=4e6, grown=0.5, moves={"map": 2.0})
    fresh = 1e-9 / 4 * 4e6 * 4e6 / (4e6 + 4e6 + 2e6)
    weights = 2e6 * (0.8 / 4e10 + 0.2 / 8e10)
    assert cpu.memory_time(scalar, launch("map"), HARDWARE, own, 4e6) == pytest.approx(
        weights + fresh + activations(10e6)
    )


def with_own(op: Launch, **own: Any) -> float:
    return float(cpu.compute_time(scalar, op, HARDWARE, "fp32", replace(PARAMETERS, **own)))


def test_small_convolutions_multiply_the_matrix_of_their_windows() -> None:
    """100 windows of 180 elements; transposed, 100 rows of 20 results. No padding, no share of the inside."""
    unfold = {"plain": 1e-6, "plain_volume": 2e-6, "signal": 4e-6, "transposed": 8e-6}
    product = 6e9 * UNEVEN / 5e11
    small = [launch("conv", variant=variant, plain=True) for variant in ("conv", "volume")]
    times = [with_own(each, unfold=unfold, clipped=1.0) for each in small]
    assert times == pytest.approx([product + 1e-6 / 4 * 18000, product + 2e-6 / 4 * 18000])
    assert with_own(launch("conv"), unfold=unfold) == compute(launch("conv"))
    always = [with_own(launch("conv", variant=variant), unfold=unfold) for variant in ("signal", "transposed")]
    assert always == pytest.approx([product + 4e-6 / 4 * 18000, product + 8e-6 / 4 * 2000])


def test_channels_that_are_no_multiple_of_four_are_unfolded() -> None:
    odd = {"unfold": {"unaligned": 1e-6}}
    uneven = Product(rows=100.0, columns=20.0, depth=81.0, groups=1.0)
    assert with_own(launch("conv", product=uneven), **odd) == pytest.approx(6e9 * UNEVEN / 5e11 + 1e-6 / 4 * 8100)
    assert with_own(launch("conv"), **odd) == compute(launch("conv"))
    few = Product(rows=100.0, columns=20.0, depth=27.0, groups=1.0)
    assert with_own(launch("conv", product=few), **odd) == compute(launch("conv", product=few))


def test_padding_is_skipped_and_thin_results_cost_more() -> None:
    inside = replace(launch("conv").layout, inside=0.25)
    assert with_own(launch("conv", layout=inside), clipped=0.5) == pytest.approx(0.5 * compute(launch("conv")))
    assert with_own(launch("conv"), thin=0.6) == pytest.approx(1.2 * compute(launch("conv")))  # three vectors
    assert with_own(launch("conv"), ragged_inputs=0.0) == pytest.approx(compute(launch("conv")) / 1.44)


def test_rows_scores_and_what_a_reduction_reads() -> None:
    softmax = launch("softmax", product=Product(rows=0.0, columns=0.0, depth=56.0, groups=1.0))
    assert with_own(softmax, row=4e-6) == pytest.approx(compute(softmax) + 1e-6 * 1000)
    total = launch("reduce")
    assert with_own(total, per_element={"read": 4e-9}) == pytest.approx(1e6 / 1e11 + 1e-9 * 250000)
    moment = launch("reduce", variant="moment")
    assert with_own(moment, per_element={"moment": 8e-9}) == pytest.approx(1e6 / 1e11 + 2e-9 * 250000)
    attention = launch("attention")
    more = with_own(attention, per_element={"attention": 4e-9}) - compute(attention)
    assert more == pytest.approx(1e-9 * 1000)  # half of 100 × 20 products are scores
    own, fresh = replace(PARAMETERS, scores=3.0), 1e-9 / 4 * 4e6 * 4e6 / (4e6 + 2**23)
    reads = 2e6 * (0.8 / 4e10 + 0.2 / 8e10)
    time = cpu.memory_time(scalar, attention, HARDWARE, own, 4e6)
    assert time == pytest.approx(reads + fresh + activations(5e6 + 12000))


def test_edges_and_calls_of_their_own() -> None:
    own = replace(PARAMETERS, edge=4e-9, calls={"lstm": 1e-6, "plain": 3e-6, "map": 9e-6})
    more = cpu.memory_time(scalar, launch("map", edge=1e3), HARDWARE, own, 4e6) - memory("map", 4e6)
    assert more == pytest.approx(1e-6)
    alone = replace(HARDWARE, units=1.0)
    steps = launch(
        "recurrent", variant="lstm", steps=9.0, product=Product(rows=0.0, columns=0.0, depth=1.0, groups=2.0)
    )
    for op, seconds in (
        (launch("map"), 9e-6),
        (launch("conv", plain=True), 3e-6),
        (launch("conv"), 7e-6),
        (steps, 18e-6),
    ):
        assert cpu.overhead(scalar, op, alone, own) == pytest.approx(seconds)
    compiled = replace(own, calls={})  # of whose recurrent layers no time of a step is known
    assert cpu.overhead(scalar, steps, alone, compiled) == cpu.overhead(scalar, launch("linear"), alone, compiled)
    merged = replace(own, epilogue={"map": 0.5})
    assert cpu.overhead(scalar, launch("map", fused=True), alone, merged, True) == pytest.approx(9e-6)
    assert cpu.left(scalar, launch("map", fused=True), merged, True) == 0.5
