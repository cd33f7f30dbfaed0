"""Every layer kind against counts worked out by hand, the arithmetic in sight."""

import msgspec
import pytest

from hwbench.errors import InputError
from hwbench.workload.layers import elementwise
from hwbench.workload.layers import products as layers
from hwbench.workload.ops import Op, Work

CASES: dict[str, tuple[Op, Op]] = {
    "conv, AlexNet's first": (
        layers.conv((3, 224, 224), channels=96, kernel=11, stride=4, padding=2),
        Op(
            kind="conv",
            output_shape=(96, 55, 55),  # (224 + 2·2 - 11) / 4 + 1 = 55.25
            params=96 * (3 * 11 * 11) + 96,
            macs=96 * 55 * 55 * (3 * 11 * 11),
            bias_adds=96 * 55 * 55,
            input_elements=3 * 224 * 224,
            weight_elements=96 * (3 * 11 * 11) + 96,
            output_elements=96 * 55 * 55,
        ),
    ),
    "conv without bias, dilated, 3×5 kernel": (
        layers.conv((8, 20, 30), channels=4, kernel=(3, 5), stride=(1, 2), padding=(2, 0), dilation=(2, 3), bias=False),
        Op(
            kind="conv",
            output_shape=(4, 20, 9),  # 20 + 4 - 2·2 - 1 + 1 = 20 and ⌊(30 - 3·4 - 1) / 2⌋ + 1 = 9
            params=4 * 8 * 15,
            macs=4 * 20 * 9 * (8 * 15),
            input_elements=8 * 20 * 30,
            weight_elements=4 * 8 * 15,
            output_elements=4 * 20 * 9,
        ),
    ),
    "conv in two groups": (
        layers.conv((96, 27, 27), channels=256, kernel=5, padding=2, groups=2),
        Op(
            kind="grouped_conv",
            output_shape=(256, 27, 27),
            params=256 * (48 * 25) + 256,
            macs=256 * 27 * 27 * (48 * 25),
            bias_adds=256 * 27 * 27,
            input_elements=96 * 27 * 27,
            weight_elements=256 * (48 * 25) + 256,
            output_elements=256 * 27 * 27,
        ),
    ),
    "conv, depthwise with two outputs a channel": (
        layers.conv((32, 7, 7), channels=64, kernel=3, padding=1, groups=32, bias=False),
        Op(
            kind="depthwise_conv",
            output_shape=(64, 7, 7),
            params=64 * 9,
            macs=64 * 49 * 9,
            input_elements=32 * 49,
            weight_elements=64 * 9,
            output_elements=64 * 49,
        ),
    ),
    "conv, pointwise": (
        layers.conv((64, 8, 8), channels=128, kernel=1, stride=2, bias=False),
        Op(
            kind="pointwise_conv",
            output_shape=(128, 4, 4),  # ⌊(8 - 1) / 2⌋ + 1
            params=64 * 128,
            macs=128 * 16 * 64,
            input_elements=64 * 64,
            weight_elements=64 * 128,
            output_elements=128 * 16,
        ),
    ),
    "conv in one dimension": (
        layers.conv((80, 3000), channels=384, kernel=3, stride=2, padding=1),
        Op(
            kind="conv",
            output_shape=(384, 1500),
            params=384 * 80 * 3 + 384,
            macs=384 * 1500 * 240,
            bias_adds=384 * 1500,
            input_elements=80 * 3000,
            weight_elements=384 * 80 * 3 + 384,
            output_elements=384 * 1500,
        ),
    ),
    "conv in three dimensions": (
        layers.conv((3, 16, 112, 112), channels=64, kernel=3, padding=1, bias=False),
        Op(
            kind="conv",
            output_shape=(64, 16, 112, 112),
            params=64 * 81,
            macs=64 * 16 * 112 * 112 * 81,
            input_elements=3 * 16 * 112 * 112,
            weight_elements=64 * 81,
            output_elements=64 * 16 * 112 * 112,
        ),
    ),
    "conv, padded to the same size": (
        layers.conv((3, 225, 10), channels=8, kernel=4, stride=2, padding="same", bias=False),
        Op(
            kind="conv",
            output_shape=(8, 113, 5),  # ⌈225 / 2⌉, ⌈10 / 2⌉
            params=8 * 48,
            macs=8 * 113 * 5 * 48,
            input_elements=3 * 225 * 10,
            weight_elements=8 * 48,
            output_elements=8 * 113 * 5,
        ),
    ),
    "transposed_conv": (
        layers.transposed_conv((64, 7, 7), channels=32, kernel=3, stride=2, padding=1, output_padding=1),
        Op(
            kind="transposed_conv",
            output_shape=(32, 14, 14),  # (7 - 1)·2 - 2·1 + (3 - 1) + 1 + 1
            params=64 * 32 * 9 + 32,
            macs=64 * 7 * 7 * 32 * 9,  # every input element times every weight of its channel
            bias_adds=32 * 14 * 14,
            input_elements=64 * 49,
            weight_elements=64 * 32 * 9 + 32,
            output_elements=32 * 14 * 14,
        ),
    ),
    "transposed_conv in groups, dilated": (
        layers.transposed_conv((8, 5, 6), channels=12, kernel=(2, 3), stride=(3, 1), dilation=2, groups=4, bias=False),
        Op(
            kind="transposed_conv",
            output_shape=(12, 15, 10),  # (5 - 1)·3 + 2·1 + 1 and (6 - 1) + 2·2 + 1
            params=8 * 3 * 6,
            macs=8 * 30 * 3 * 6,
            input_elements=8 * 30,
            weight_elements=8 * 3 * 6,
            output_elements=12 * 150,
        ),
    ),
    "linear": (
        layers.linear((9216,), features=4096),
        Op(
            kind="linear",
            output_shape=(4096,),
            params=9216 * 4096 + 4096,
            macs=9216 * 4096,
            bias_adds=4096,
            input_elements=9216,
            weight_elements=9216 * 4096 + 4096,
            output_elements=4096,
        ),
    ),
    "linear over tokens": (
        layers.linear((128, 768), features=3072, bias=False),
        Op(
            kind="linear",
            output_shape=(128, 3072),
            params=768 * 3072,
            macs=128 * 768 * 3072,
            input_elements=128 * 768,
            weight_elements=768 * 3072,
            output_elements=128 * 3072,
        ),
    ),
    "matmul": (
        layers.matmul((64, 48), columns=32),
        Op(
            kind="matmul",
            output_shape=(64, 32),
            macs=64 * 48 * 32,
            input_elements=64 * 48 + 48 * 32,
            output_elements=64 * 32,
        ),
    ),
    "matmul, batched": (
        layers.matmul((12, 128, 64), columns=128),
        Op(
            kind="batched_matmul",
            output_shape=(12, 128, 128),
            macs=12 * 128 * 64 * 128,
            input_elements=12 * 128 * 64 + 12 * 64 * 128,
            output_elements=12 * 128 * 128,
        ),
    ),
    "attention": (
        layers.attention((128, 3 * 768), heads=12),
        Op(
            kind="attention",
            output_shape=(128, 768),
            macs=12 * (128 * 64 * 128) + 12 * (128 * 128 * 64),  # q·kᵀ and scores·v, 64 wide, in each head
            elementwise_flops=12 * 128 * 128 * (1 + 5),  # scaling and softmax
            input_elements=128 * 3 * 768,
            output_elements=128 * 768,
        ),
    ),
    "attention, keys and values shared by four heads": (
        layers.attention((10, (8 + 2 + 2) * 16), heads=8, kv_heads=2),
        Op(
            kind="attention",
            output_shape=(10, 8 * 16),
            macs=8 * 2 * (10 * 16 * 10),
            elementwise_flops=8 * 100 * 6,
            input_elements=10 * 12 * 16,
            output_elements=10 * 128,
        ),
    ),
    "max_pool": (
        layers.max_pool((96, 55, 55), kernel=3, stride=2),
        Op(
            kind="max_pool",
            output_shape=(96, 27, 27),
            elementwise_flops=96 * 27 * 27 * 8,
            input_elements=96 * 55 * 55,
            output_elements=96 * 27 * 27,
        ),
    ),
    "max_pool, rounding up": (
        layers.max_pool((64, 112, 112), kernel=3, stride=2, ceil=True),
        Op(
            kind="max_pool",
            output_shape=(64, 56, 56),  # ⌈(112 - 3) / 2⌉ + 1 = 56, where rounding down gives 55
            elementwise_flops=64 * 56 * 56 * 8,
            input_elements=64 * 112 * 112,
            output_elements=64 * 56 * 56,
        ),
    ),
    "avg_pool": (
        layers.avg_pool((6, 28, 28), kernel=2),
        Op(
            kind="avg_pool",
            output_shape=(6, 14, 14),
            elementwise_flops=6 * 14 * 14 * 4,  # three additions and a division
            input_elements=6 * 28 * 28,
            output_elements=6 * 14 * 14,
        ),
    ),
    "global_avg_pool": (
        layers.global_avg_pool((2048, 7, 7)),
        Op(
            kind="global_avg_pool",
            output_shape=(2048,),
            elementwise_flops=2048 * 49,
            input_elements=2048 * 49,
            output_elements=2048,
        ),
    ),
    "local_response_norm": (
        elementwise.local_response_norm((96, 55, 55), size=5),
        Op(
            kind="local_response_norm",
            output_shape=(96, 55, 55),
            elementwise_flops=96 * 55 * 55 * (1 + 4 + 1 + 1 + 1 + 1),  # square, 4 additions, scale, add, power, divide
            input_elements=96 * 55 * 55,
            output_elements=96 * 55 * 55,
        ),
    ),
    "batch_norm": (
        elementwise.batch_norm((64, 56, 56)),
        Op(
            kind="batch_norm",
            output_shape=(64, 56, 56),
            params=2 * 64,
            elementwise_flops=2 * 64 * 56 * 56,
            input_elements=64 * 56 * 56,
            weight_elements=4 * 64,  # mean and variance too
            output_elements=64 * 56 * 56,
        ),
    ),
    "layer_norm": (
        elementwise.layer_norm((128, 768)),
        Op(
            kind="layer_norm",
            output_shape=(128, 768),
            params=2 * 768,
            elementwise_flops=7 * 128 * 768,
            input_elements=128 * 768,
            weight_elements=2 * 768,
            output_elements=128 * 768,
        ),
    ),
    "scale": (
        elementwise.scale((6, 14, 14)),
        Op(
            kind="scale",
            output_shape=(6, 14, 14),
            params=12,  # what LeNet-5's S2 has
            elementwise_flops=2 * 6 * 196,
            input_elements=6 * 196,
            weight_elements=12,
            output_elements=6 * 196,
        ),
    ),
    "add of three": (
        elementwise.add((128, 768), inputs=3),
        Op(
            kind="add",
            output_shape=(128, 768),
            elementwise_flops=2 * 128 * 768,
            input_elements=3 * 128 * 768,
            output_elements=128 * 768,
        ),
    ),
    "copy": (
        elementwise.copy((256, 28, 28)),
        Op(kind="copy", output_shape=(256, 28, 28), input_elements=256 * 784, output_elements=256 * 784),
    ),
    "embedding": (
        layers.embedding((128,), rows=30522, width=768),
        Op(
            kind="embedding",
            output_shape=(128, 768),
            params=30522 * 768,
            weight_elements=128 * 768,  # the rows looked up, not the table
            output_elements=128 * 768,
            fixed_input_bytes=128 * 8,
        ),
    ),
    "class_token": (
        elementwise.class_token((196, 768)),
        Op(
            kind="class_token",
            output_shape=(197, 768),
            params=768,
            input_elements=196 * 768,
            weight_elements=768,
            output_elements=197 * 768,
        ),
    ),
    "position_embedding": (
        elementwise.position_embedding((197, 768)),
        Op(
            kind="position_embedding",
            output_shape=(197, 768),
            params=197 * 768,
            elementwise_flops=197 * 768,
            input_elements=197 * 768,
            weight_elements=197 * 768,
            output_elements=197 * 768,
        ),
    ),
    **{
        name: (
            getattr(elementwise, name)((3, 5)),
            Op(
                kind=name,
                output_shape=(3, 5),
                elementwise_flops=each * 15,
                input_elements=15,
                output_elements=15,
            ),
        )
        for name, each in (
            ("relu", 1),
            ("relu6", 2),
            ("tanh", 1),
            ("sigmoid", 4),
            ("softmax", 5),
            ("gelu", 5),
            ("silu", 5),
        )
    },
}


@pytest.mark.parametrize(("ours", "by_hand"), CASES.values(), ids=CASES)
def test_counts_by_hand(ours: Op, by_hand: Op) -> None:
    assert msgspec.structs.replace(ours, groups=1, columns=0, depth=0, window=0, stride=1) == by_hand


@pytest.mark.parametrize(
    ("op", "rows", "groups", "columns", "depth", "window", "stride"),
    [
        (layers.conv((96, 27, 27), channels=256, kernel=5, padding=2, groups=2), 27 * 27, 2, 128, 48 * 25, 25, 1),
        (layers.conv((3, 224, 224), channels=96, kernel=11, stride=4, padding=2), 55 * 55, 1, 96, 3 * 121, 121, 16),
        (layers.conv((80, 3000), channels=384, kernel=3, stride=(2,), padding=1), 1500, 1, 384, 240, 3, 2),
        (layers.transposed_conv((8, 5, 6), channels=12, kernel=(2, 3), stride=(3, 1), groups=4), 30, 4, 18, 2, 6, 3),
        (layers.linear((128, 768), features=3072), 128, 1, 3072, 768, 0, 1),
        (layers.matmul((12, 64, 32), columns=16), 64, 12, 16, 32, 0, 1),
        (layers.attention((197, 3 * 768), heads=12), 2 * 197, 12, 197, 64, 0, 1),  # two products
    ],
)
def test_the_products_behind_a_layer(
    op: Op, rows: int, groups: int, columns: int, depth: int, window: int, stride: int
) -> None:
    found = (op.groups, op.columns, op.depth, op.window, op.stride)
    assert found == (groups, columns, depth, window, stride)
    assert op.macs == rows * groups * columns * depth


def test_rows_and_windows_of_layers_without_products() -> None:
    assert elementwise.layer_norm((197, 768)).depth == elementwise.softmax((197, 768)).depth == 768
    pools = layers.max_pool((64, 112, 112), kernel=3, stride=2, padding=1), layers.avg_pool((8, 4, 4), kernel=2)
    assert [(pool.window, pool.stride) for pool in pools] == [(9, 4), (4, 4)]


def test_every_kind_has_a_case() -> None:
    assert {kind.__name__ for kind in layers.KINDS} <= {name.split()[0].rstrip(",") for name in CASES}


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "down", "up"),
    [
        (112, 3, 2, 0, 55, 56),  # GoogLeNet's first
        (7, 2, 2, 0, 3, 4),
        (6, 2, 2, 0, 3, 3),
        (5, 2, 2, 1, 3, 3),  # ⌈5 / 2⌉ + 1 = 4, but a fourth window would begin at 6, in the right padding
        (4, 2, 2, 1, 3, 3),
        (10, 3, 4, 1, 3, 3),  # ⌈9 / 4⌉ + 1 = 4, but a fourth would begin at 12
        (9, 3, 4, 1, 3, 3),
        (2, 2, 5, 0, 1, 1),
        (3, 2, 5, 0, 1, 1),  # ⌈1 / 5⌉ + 1 = 2, but a second would begin at 5
        (13, 3, 3, 1, 5, 5),
        (14, 3, 3, 1, 5, 5),
        (15, 3, 3, 1, 5, 6),
    ],
)
@pytest.mark.parametrize("pool", [layers.max_pool, layers.avg_pool])
def test_pooling_rounds_as_torch_does(
    pool: object, size: int, kernel: int, stride: int, padding: int, down: int, up: int
) -> None:
    assert callable(pool)
    options = {"kernel": kernel, "stride": stride, "padding": padding}
    assert pool((8, size, size), **options).output_shape == (8, down, down)
    assert pool((8, size, size), **options, ceil=True).output_shape == (8, up, up)


def test_rounding_up_keeps_one_window_larger_than_the_image() -> None:
    assert layers.max_pool((8, 1, 3), kernel=2, ceil=True).output_shape == (8, 1, 2)
    assert layers.max_pool((8, 2, 2), kernel=3, stride=2, ceil=True).output_shape == (8, 1, 1)
    with pytest.raises(InputError):
        layers.max_pool((8, 1, 1), kernel=3, stride=2, ceil=True)  # ⌈(1 - 3) / 2⌉ + 1 = 0


FIRST = layers.conv((3, 224, 224), channels=96, kernel=11, stride=4, padding=2)


@pytest.mark.parametrize(("bits", "size"), [(64, 8), (32, 4), (16, 2), (8, 1)])
@pytest.mark.parametrize("batch", [1, 8])
def test_traffic_at_each_size_and_batch(bits: int, size: int, batch: int) -> None:
    assert FIRST.work(bits, batch) == Work(
        flops=2 * 105_415_200 * batch,
        elementwise_flops=0,
        input_bytes=150_528 * size * batch,
        weight_bytes=34_944 * size,  # once, however large the batch
        output_bytes=290_400 * size * batch,
    )


def test_traffic_and_intensity_in_figures() -> None:
    work = FIRST.work(32, batch=8)
    assert work.traffic == 4 * (8 * 150_528 + 34_944 + 8 * 290_400) == 14_249_472
    assert work.intensity == 2 * 105_415_200 * 8 / 14_249_472
    assert Work().intensity == 0.0


def test_four_bits_round_up_to_whole_bytes() -> None:
    work = layers.linear((5,), features=3).work(4)
    assert (work.input_bytes, work.weight_bytes, work.output_bytes) == (3, 9, 2)  # 2.5, 18 / 2 and 1.5 bytes


def test_indices_do_not_follow_the_dtype() -> None:
    op = layers.embedding((128,), rows=1000, width=16)
    assert op.work(32, 2).input_bytes == op.work(16, 2).input_bytes == 2 * 128 * 8
    assert op.work(16, 2).weight_bytes == 128 * 16 * 2
    assert layers.embedding((128,), rows=2, width=16).work(16).weight_bytes == 2 * 16 * 2  # all of a small table


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: layers.conv((10,), channels=1, kernel=1), "shape-mismatch"),
        (lambda: layers.conv((3, 8, 8), channels=4, kernel=(3, 3, 3)), "bad-option"),
        (lambda: layers.conv((3, 8, 8), channels=4, kernel=3, stride=(1,)), "bad-option"),
        (lambda: layers.conv((3, 8, 8), channels=4, kernel=3, padding=()), "bad-option"),
        (lambda: layers.conv((3, 8, 8), channels=4, kernel=9), "bad-option"),
        (
            lambda: layers.conv((3, 8, 8), channels=4, kernel=4, dilation=3),
            "bad-option",
        ),
        (lambda: layers.conv((3, 8, 8), channels=4, kernel=1, groups=2), "bad-option"),
        (lambda: layers.conv((4, 8, 8), channels=3, kernel=1, groups=2), "bad-option"),
        (lambda: layers.transposed_conv((4, 8, 8), channels=3, kernel=1, groups=2), "bad-option"),
        (lambda: layers.transposed_conv((4, 2, 2), channels=3, kernel=1, padding=4), "bad-option"),
        (
            lambda: layers.transposed_conv((4, 2, 2), channels=3, kernel=1, output_padding=(1, 1, 1)),
            "bad-option",
        ),
        (lambda: layers.max_pool((4, 2, 2), kernel=3), "bad-option"),
        (lambda: layers.linear((), features=3), "shape-mismatch"),
        (lambda: layers.matmul((3,), columns=3), "shape-mismatch"),
        (lambda: layers.attention((3, 4, 5), heads=1), "shape-mismatch"),
        (lambda: layers.attention((3, 10), heads=3), "shape-mismatch"),
        (lambda: layers.attention((3, 12), heads=3, kv_heads=2), "shape-mismatch"),
        (lambda: layers.global_avg_pool((3,)), "shape-mismatch"),
        (lambda: elementwise.local_response_norm((3,)), "shape-mismatch"),
        (lambda: elementwise.class_token((3,)), "shape-mismatch"),
    ],
)
def test_impossible_layers(call: object, code: str) -> None:
    assert callable(call)
    with pytest.raises(InputError) as raised:
        call()
    assert raised.value.code == code
