"""Laws that counts obey whatever the numbers are."""

from math import prod
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hwbench.workload.layers import elementwise, network
from hwbench.workload.layers import products as layers
from hwbench.workload.ops import Op, Work, Workload

counts = st.integers(0, 10**15)
works = st.builds(Work, counts, counts, counts, counts, counts)
small = st.integers(1, 8)
sizes = st.integers(1, 40)
Case = tuple[tuple[int, ...], dict[str, Any]]
dtypes = st.sampled_from([64, 32, 16, 8])


@st.composite
def conv_cases(draw: st.DrawFn) -> Case:
    """An image and the options of a convolution that fits it."""
    groups = draw(small)
    kernel, dilation = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    least = dilation * (kernel - 1) + 1
    spatial = tuple(draw(st.integers(least, least + 20)) for _ in range(draw(st.integers(1, 3))))
    options: dict[str, Any] = {
        "channels": groups * draw(small),
        "kernel": kernel,
        "stride": draw(st.integers(1, 4)),
        "padding": draw(st.integers(0, 4)),
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    return (groups * draw(small), *spatial), options


def conv(case: Case, **changed: Any) -> Op:
    shape, options = case
    return layers.conv(shape, **{**options, **changed})


@given(works, works, works)
def test_works_add(a: Work, b: Work, c: Work) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Work() == a
    assert (a + b).traffic == a.traffic + b.traffic
    assert (a + b).flops == a.flops + b.flops


@given(works)
def test_intensity_is_flops_over_traffic(work: Work) -> None:
    assert work.intensity * work.traffic == 0 or abs(work.intensity * work.traffic / work.flops - 1) < 1e-12


@given(works.filter(lambda work: work.traffic > 0), works.filter(lambda work: work.traffic > 0))
def test_intensity_of_a_sum_lies_between(a: Work, b: Work) -> None:
    low, high = sorted((a.intensity, b.intensity))
    assert low * (1 - 1e-12) <= (a + b).intensity <= high * (1 + 1e-12)


@given(conv_cases(), st.integers(1, 64), dtypes)
def test_a_batch_multiplies_all_but_the_weights(case: Case, batch: int, bits: int) -> None:
    one, many = conv(case).work(bits), conv(case).work(bits, batch)
    assert many == Work(
        flops=batch * one.flops,
        elementwise_flops=batch * one.elementwise_flops,
        input_bytes=batch * one.input_bytes,
        weight_bytes=one.weight_bytes,
        output_bytes=batch * one.output_bytes,
    )
    assert many.intensity >= one.intensity


@given(conv_cases(), dtypes)
def test_half_the_bits_are_half_the_traffic(case: Case, bits: int) -> None:
    assert conv(case).work(2 * bits).traffic == 2 * conv(case).work(bits).traffic
    assert conv(case).work(2 * bits).flops == conv(case).work(bits).flops


@given(conv_cases())
def test_conventions(case: Case) -> None:
    op = conv(case)
    positions = prod(op.output_shape[1:])
    assert op.operations("flop") == op.flops == 2 * op.operations("mac") == 2 * op.macs
    assert op.operations("mac-bias") == op.params * positions
    assert op.weight_elements == op.params


@given(conv_cases())
def test_groups_divide_the_macs(case: Case) -> None:
    groups = case[1]["groups"]
    grouped, whole = conv(case, bias=False), conv(case, bias=False, groups=1)
    assert grouped.output_shape == whole.output_shape
    assert grouped.macs * groups == whole.macs
    assert grouped.params * groups == whole.params


@given(conv_cases())
def test_groups_are_as_many_convolutions_side_by_side(case: Case) -> None:
    (inputs, *spatial), options = case
    groups, channels = options["groups"], options["channels"]
    part = conv(((inputs // groups, *spatial), {**options, "groups": 1, "channels": channels // groups}))
    whole = conv(case)
    for count in ("params", "macs", "bias_adds", "input_elements", "output_elements"):
        assert getattr(whole, count) == groups * getattr(part, count)


@given(conv_cases())
def test_halves_of_the_output_channels_add_up(case: Case) -> None:
    channels = case[1]["channels"]
    half, whole = conv(case, groups=1), conv(case, groups=1, channels=2 * channels)
    for count in ("params", "macs", "bias_adds", "output_elements"):
        assert getattr(whole, count) == 2 * getattr(half, count)
    assert whole.input_elements == half.input_elements


@given(conv_cases())
def test_halves_of_the_input_channels_add_up(case: Case) -> None:
    (inputs, *spatial), options = case
    half = conv(case, groups=1, bias=False)
    whole = conv(((2 * inputs, *spatial), {**options, "groups": 1, "bias": False}))
    assert (whole.macs, whole.params) == (2 * half.macs, 2 * half.params)
    assert whole.output_shape == half.output_shape


@given(small, small, sizes, sizes, st.booleans())
def test_a_pointwise_conv_is_a_linear_layer_at_every_position(
    inputs: int, outputs: int, height: int, width: int, bias: bool
) -> None:
    pointwise = layers.conv((inputs, height, width), channels=outputs, kernel=1, bias=bias)
    linear = layers.linear((height * width, inputs), features=outputs, bias=bias)
    for count in ("params", "macs", "bias_adds", "input_elements", "weight_elements", "output_elements"):
        assert getattr(pointwise, count) == getattr(linear, count)


@given(small, small, sizes, sizes, st.booleans())
def test_a_conv_over_the_whole_image_is_a_linear_layer(
    inputs: int, outputs: int, height: int, width: int, bias: bool
) -> None:
    whole = layers.conv((inputs, height, width), channels=outputs, kernel=(height, width), bias=bias)
    linear = layers.linear((inputs * height * width,), features=outputs, bias=bias)
    assert whole.output_shape == (outputs, 1, 1)
    assert (whole.params, whole.macs, whole.bias_adds) == (linear.params, linear.macs, linear.bias_adds)


@given(st.integers(2, 16), st.integers(1, 5), st.integers(5, 30))
def test_a_depthwise_conv_has_one_filter_a_channel(channels: int, kernel: int, size: int) -> None:
    op = layers.conv((channels, size, size), channels=channels, kernel=kernel, groups=channels, bias=False)
    assert op.kind == "depthwise_conv"
    assert op.params == channels * kernel**2
    assert op.macs == op.output_elements * kernel**2


@given(conv_cases())
def test_more_padding_is_never_less_work(case: Case) -> None:
    padding = case[1]["padding"]
    assert conv(case, padding=padding + 1).macs >= conv(case).macs
    assert conv(case, padding=padding + 1).params == conv(case).params


@given(conv_cases())
def test_more_stride_is_never_more_work(case: Case) -> None:
    stride = case[1]["stride"]
    assert conv(case, stride=stride + 1).macs <= conv(case).macs


@given(small, sizes, st.integers(1, 3), st.integers(0, 3))
def test_half_padding_at_stride_one_keeps_the_size(channels: int, size: int, dilation: int, half: int) -> None:
    kernel = 2 * half + 1
    options: dict[str, Any] = {"channels": channels, "kernel": kernel, "dilation": dilation}
    explicit = layers.conv((channels, size), padding=dilation * half, **options)
    assert explicit == layers.conv((channels, size), padding="same", **options)
    assert explicit.output_shape == (channels, size)


@given(conv_cases())
def test_a_transposed_conv_undoes_the_shape(case: Case) -> None:
    """Relationship 14 of Dumoulin and Visin: the transpose has the forward convolution's MACs and weights."""
    (inputs, *spatial), options = case
    forward = conv(case, padding=0, bias=False)
    stride, kernel, dilation = options["stride"], options["kernel"], options["dilation"]
    lost = tuple((size - dilation * (kernel - 1) - 1) % stride for size in spatial)
    back = layers.transposed_conv(
        forward.output_shape,
        channels=inputs,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        output_padding=lost,
        groups=options["groups"],
        bias=False,
    )
    assert back.output_shape == (inputs, *spatial)
    assert (back.macs, back.params) == (forward.macs, forward.params)


@given(st.integers(1, 64), small, st.integers(1, 32), st.integers(1, 4))
def test_attention_is_two_matrix_products_a_head(tokens: int, kv_heads: int, width: int, sharing: int) -> None:
    heads = kv_heads * sharing
    op = layers.attention((tokens, (heads + 2 * kv_heads) * width), heads=heads, kv_heads=kv_heads)
    scores = layers.matmul((heads, tokens, width), columns=tokens)
    values = layers.matmul((heads, tokens, tokens), columns=width)
    assert op.macs == scores.macs + values.macs
    assert op.output_shape == (tokens, heads * width)


@given(st.integers(1, 4), sizes, sizes, sizes)
def test_a_batched_matmul_is_a_batch_of_matmuls(batch: int, rows: int, depth: int, columns: int) -> None:
    batched = layers.matmul((batch, rows, depth), columns=columns).work(32)
    assert batched == layers.matmul((rows, depth), columns=columns).work(32, batch)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=8))
def test_format_of_shapes_can_be_read_back(shape: list[int]) -> None:
    assert [int(size) for size in layers.format_shape(tuple(shape)).split("×")] == shape


LAYERS = st.lists(
    st.sampled_from(
        ["relu", "batch_norm", "tanh", {"conv": {"channels": 4, "kernel": 3, "padding": 1}}, {"add": {"inputs": 3}}]
    ),
    min_size=1,
    max_size=6,
)


def without_names(ops: tuple[Op, ...]) -> list[Op]:
    return [Op(**{name: getattr(op, name) for name in Op.__struct_fields__ if name != "name"}) for op in ops]


@given(LAYERS, LAYERS)
def test_a_network_is_the_sum_of_its_parts(first: list[Any], second: list[Any]) -> None:
    shape = (4, 8, 8)
    whole = Workload("w", "W", shape, network.build(first + second, shape))
    parts = [Workload("p", "P", shape, network.build(part, shape)) for part in (first, second)]
    assert whole.work(16, 3) == parts[0].work(16, 3) + parts[1].work(16, 3)
    assert whole.params == parts[0].params + parts[1].params
    assert whole.macs == parts[0].macs + parts[1].macs
    assert whole.operations("mac-bias") == parts[0].operations("mac-bias") + parts[1].operations("mac-bias")
    assert whole.capacity(16, 3) >= max(part.capacity(16, 3) for part in parts)


@given(LAYERS, st.integers(1, 5))
def test_repeat_is_writing_it_out(body: list[Any], count: int) -> None:
    repeated = network.build([{"repeat": {"count": count, "layers": body}}], (4, 8, 8))
    assert without_names(repeated) == without_names(network.build(body * count, (4, 8, 8)))
    assert len({op.name for op in repeated}) == len(repeated)


@given(LAYERS)
def test_then_is_writing_it_behind(body: list[Any]) -> None:
    then = network.build([{"relu": {"then": body}}], (4, 8, 8))
    assert then == network.build(["relu", *body], (4, 8, 8))


@given(LAYERS, LAYERS)
def test_a_residual_is_both_sides_and_a_sum(left: list[Any], right: list[Any]) -> None:
    ops = network.build([{"residual": {"layers": left, "shortcut": right}}], (4, 8, 8))
    apart = [network.build(side, (4, 8, 8)) for side in (left, right)]
    assert without_names(ops) == [*without_names(apart[0]), *without_names(apart[1]), elementwise.add((4, 8, 8))]
