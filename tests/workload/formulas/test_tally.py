"""One sample's part of what a kernel reads, writes and computes."""

from hwbench.workload.formulas.cost import Cost
from hwbench.workload.formulas.tally import Amount, Parameters, Tally, joint_role, share
from hwbench.workload.ops import Op


def test_a_samples_part_is_rounded_up() -> None:
    assert [share(amount, 4) for amount in (0, 1, 4, 5, 8)] == [0, 1, 1, 2, 2]
    assert Amount(1, 20) + Amount(300, 4000) == Amount(301, 4020)


def test_data_is_divided_by_the_samples_and_weights_are_not() -> None:
    tally = Tally(4)
    assert tally.read(10, None, is_data=True) == Amount(elements=3)
    assert tally.read(8, 16, is_data=True) == Amount(bytes=4)
    assert tally.read(9, 4, is_data=False) == Amount(bytes=5)  # 36 bits
    assert tally.read(7, None, is_data=False) == Amount(elements=7)
    assert tally.write(12, None) == Amount(elements=3)
    assert tally.write(12, 8) == Amount(bytes=3)
    assert tally.write(1, 1) == Amount(bytes=1)
    assert (tally.inputs, tally.weights, tally.outputs) == (Amount(3, 4), Amount(7, 5), Amount(3, 4))


def test_an_op_has_a_samples_work_and_the_shape_of_its_kernel() -> None:
    tally = Tally(4)
    tally.read(40, None, is_data=True)
    tally.read(4, 8, is_data=True)
    tally.read(7, None, is_data=False)
    tally.read(5, 8, is_data=False)
    tally.write(8, None)
    tally.write(24, 8)
    cost = Cost("conv", 401, 43, 82, groups=8, columns=3, depth=36, window=9, stride=2, masked=True)
    shape = {"columns": 3, "depth": 36, "window": 9, "stride": 2, "masked": True}
    traffic = {
        "input_elements": 10, "weight_elements": 7, "output_elements": 2,
        "fixed_input_bytes": 1, "fixed_weight_bytes": 5, "fixed_output_bytes": 6,
    }  # fmt: skip
    work = {"macs": 101, "bias_adds": 11, "elementwise_flops": 21}
    assert tally.op(cost, (2, 5), name="x", params=12) == Op(
        "conv", (2, 5), 12, name="x", groups=8, **work, **traffic, **shape
    )
    for kind, groups in (("batched_matmul", 2), ("attention", 2), ("attention_backward", 2), ("grouped_conv", 8)):
        assert tally.op(Cost(kind, groups=8), (1,)).groups == groups


def test_parameters_count_once() -> None:
    held = Parameters()
    held.add("a", 3)
    held.add("a", 4)
    held.add("b", 10)
    assert held.unclaimed == 17
    assert (held.claim(["a", "c"]), held.unclaimed) == (7, 10)
    assert (held.claim(["a", "b"]), held.unclaimed) == (10, 0)


def test_data_and_weights_make_data() -> None:
    assert joint_role(["weight", "data", "constant"]) == "data"
    assert joint_role(["constant", "weight"]) == "weight"
    assert joint_role(["constant"]) == joint_role([]) == "constant"
