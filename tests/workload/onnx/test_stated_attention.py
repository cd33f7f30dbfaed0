"""Operators of com.microsoft whose work follows from constants, by hand and by what onnxruntime computes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import helper, numpy_helper  # noqa: E402

from tests.workload.onnx.test_graph import FLOAT, INT32, UINT8, counted, info, model, node, weight  # noqa: E402

MS = "com.microsoft"
ROWS = [[0, 1, 3, 5, 8], [0, 1, 3, 6, 9]]
COLUMNS = [[0, 0, 1, 1, 2, 1, 2, 3, -1], [0, 0, 1, 0, 1, 2, 0, 2, 3]]
"""The two layouts of 4 × 4 blocks in onnxruntime/docs/ContribOperators.md: a diagonal, 4 and 5 blocks below it."""
EACH, WIDTH, HEADS = 16, 64, 4  # positions of a block, width of a head, heads
TRIANGLE = EACH * (EACH + 1) // 2


def int32(name: str, numbers: Any) -> Any:
    return numpy_helper.from_array(np.array(numbers, np.int32), name)


def sparse(tokens: int, keys: int, constants: bool = True) -> Any:
    """A model of 4 heads on 2 of keys and values, whose cache holds 64 positions."""
    inputs = [info("q", 1, tokens, HEADS * WIDTH), *(info(name, 1, tokens, 2 * WIDTH) for name in "kv")]
    inputs += [info(name, 1, 2, 64, WIDTH) for name in ("pk", "pv")]
    stated = [int32("rows", ROWS), int32("columns", COLUMNS), int32("total", keys), int32("totals", [keys])]
    if not constants:
        inputs += [info("total", dtype=INT32)]
        del stated[2]
    attention = node(
        "SparseAttention", "q k v pk pv rows columns total totals", "y nk nv", MS,
        num_heads=HEADS, kv_num_heads=2, sparse_block_size=EACH,
    )  # fmt: skip
    return model([attention], inputs, stated)


def pairs_of(found: Any, each: int) -> int:
    (op,) = (op for op in found.ops if op.kind == "attention")
    assert (op.macs - op.skipped_macs) % each == 0
    return int(op.macs - op.skipped_macs) // each


@pytest.mark.parametrize(
    ("tokens", "keys", "pairs"),
    [
        (64, 64, 2 * (2 * 4 * TRIANGLE + (4 + 5) * EACH * EACH)),
        (1, 64, HEADS * 3 * EACH),  # the last row of both layouts: two blocks before its own
        (20, 20, 2 * 2 * (TRIANGLE + 4 * EACH + 10)),  # 16 and 4 queries
    ],
)
def test_pairs_in_blocks(tmp_path: Path, tokens: int, keys: int, pairs: int) -> None:
    found = counted(tmp_path, sparse(tokens, keys))
    assert found.operations("mac", 1) == HEADS * tokens * keys * 2 * WIDTH
    assert (pairs_of(found, 2 * WIDTH), found.uncounted) == (pairs, ())


@pytest.mark.parametrize(("tokens", "keys"), [(64, 64), (48, 48), (1, 50)])
def test_onnxruntime_meets_as_many_keys(tmp_path: Path, tokens: int, keys: int) -> None:
    """Queries of zeros weigh all that they meet alike; values are the identity, and show which those are."""
    engine = pytest.importorskip("onnxruntime")
    proto, eye = sparse(tokens, keys), np.tile(np.eye(64, WIDTH, dtype=np.float32), (1, 2, 1, 1))
    proto.ir_version = 8
    proto.graph.output.extend(helper.make_tensor_value_info(name, FLOAT, None) for name in ("nk", "nv"))
    session = engine.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    new = np.concatenate([np.eye(64, WIDTH, dtype=np.float32)[keys - tokens : keys]] * 2, axis=1)[None]
    zeros = np.zeros((1, tokens, HEADS * WIDTH), np.float32)
    feeds = {"q": zeros, "k": np.zeros_like(new), "v": new, "pk": np.zeros_like(eye), "pv": eye}
    binding = session.io_binding()
    for name, array in feeds.items():
        value = engine.OrtValue.ortvalue_from_numpy(array)
        binding.bind_ortvalue_input(name, value)
        if name in ("pk", "pv"):  # which the operator writes in place
            binding.bind_ortvalue_output({"pk": "nk", "pv": "nv"}[name], value)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    output = binding.get_outputs()[-1].numpy()
    assert np.count_nonzero(output) == pairs_of(counted(tmp_path, sparse(tokens, keys)), 2 * WIDTH)


def test_a_length_that_is_no_constant_is_named(tmp_path: Path) -> None:
    found = counted(tmp_path, sparse(8, 8, constants=False))
    (line,) = found.uncounted
    assert line.startswith("com.microsoft.SparseAttention whose total_sequence_length is no constant of at most 4,096")
    assert found.operations("mac", 1) == 0


@pytest.mark.parametrize(
    ("flags", "pairs", "projected"),
    [
        # 8 tokens that see 2 on both sides: 3 + 4 + 5 × 4 + 4 + 3
        ([0] * 8, 34, 3 * 8),
        # the first meets all 8; of the others 5 are too far to see it: 34 - 3 + 8 + 5
        ([1] + [0] * 7, 44, 3 * 8 + 2 * 8 + 1),
        ([0, 0, 0, 1, 0, 0, 0, 1], 34 - 5 - 3 + 16 + 2 + 4, 3 * 8 + 2 * 8 + 2),
        (None, 34, 3 * 8),
    ],
)
def test_windows_and_global_tokens(tmp_path: Path, flags: list[int] | None, pairs: int, projected: int) -> None:
    inputs, weights = [info("x", 1, 8, 32), info("mask", 1, 8)], [weight("w", 32, 96), weight("gw", 32, 96)]
    weights += [weight("b", 96), weight("gb", 96)] + ([int32("global", [flags])] if flags else [])
    inputs += [] if flags else [info("global", 1, 8, dtype=INT32)]
    attention = node("LongformerAttention", "x w b mask gw gb global", "y", MS, num_heads=4, window=2)
    found = counted(tmp_path, model([attention], inputs, weights))
    (op,) = found.ops
    assert op.macs == projected * 32 * 32 + 4 * 8 * 8 * 2 * 8
    assert (op.bias_adds, op.params) == (projected * 32, 2 * (32 * 96 + 96))
    assert op.skipped_macs == 4 * (8 * 8 - pairs) * 2 * 8
    gaps = [] if flags else ["com.microsoft.LongformerAttention whose global is no constant of at most 4,096 numbers"]
    assert [line.partition(" (")[0] for line in found.uncounted] == gaps


@pytest.mark.parametrize(
    ("attributes", "full", "pairs"),
    [
        ({}, 3 * 3 + 1 * 11 + 2 * 7, 6 + 11 + 13),  # the second of two after 5 meets 7 keys, the first 6
        ({"local_window_size": 4}, 34, 6 + 4 + 8),
        ({"is_causal": 0}, 34, 34),
    ],
)
def test_pages_of_sequences_of_known_lengths(tmp_path: Path, attributes: dict[str, int], full: int, pairs: int) -> None:
    """Three tokens at first, one after ten, two after five; packed queries, keys, values, and apart."""
    shared = {"num_heads": HEADS, "kv_num_heads": 2, **attributes}
    caches = [info(name, 9, 4, 2, 16) for name in ("kc", "vc")] + [info("table", 3, 3, dtype=INT32)]
    lengths = [int32("ends", [0, 3, 4, 6]), int32("past", [0, 10, 5])]
    for names, given in (
        ("q - -", [info("q", 6, 128)]),
        ("q k v", [info("q", 6, 64), info("k", 6, 32), info("v", 6, 32)]),
    ):
        paged = node("PagedAttention", f"{names} kc vc ends past table", "y", MS, **shared)
        found = counted(tmp_path, model([paged], [*given, *caches], lengths))
        assert found.operations("mac", 1) == HEADS * full * 2 * 16
        assert (pairs_of(found, 2 * 16), found.uncounted) == (HEADS * pairs, ())
    found = counted(tmp_path, model([paged], [*given, *caches, info("past", 3, dtype=INT32)], lengths[:1]))
    assert [line.partition(" is ")[0] for line in found.uncounted] == [
        "com.microsoft.PagedAttention whose past_seqlens"
    ]


@pytest.mark.parametrize(("dtype", "bits", "held"), [(UINT8, 4, 32), (UINT8, 8, 64), (onnx.TensorProto.INT4, 4, 64)])
def test_a_quantized_table(tmp_path: Path, dtype: int, bits: int, held: int) -> None:
    """Three rows of 64 out of 100, of which bytes hold as many as fit; bytes are shifted and scaled, others scaled."""
    engine = pytest.importorskip("onnxruntime")
    size = 100 * held // (1 if dtype == UINT8 else 2)
    table = onnx.TensorProto(name="t", data_type=dtype, dims=[100, held], raw_data=bytes(size))
    scales = numpy_helper.from_array(np.ones((100, 4), np.float32), "s")
    look_up = node("GatherBlockQuantized", "t i s", "y", MS, block_size=16, quantize_axis=1, bits=bits)
    proto = model([look_up], [info("i", 3, dtype=onnx.TensorProto.INT64)], [table, scales], opset=21)
    found = counted(tmp_path, proto)
    (op,) = found.ops
    assert (op.kind, op.params, found.uncounted) == ("embedding", 6400, ())
    each = 2 if dtype == UINT8 else 1
    assert op.elementwise_flops * (1 if op.constant else found.batch) == each * 3 * 64
    proto.ir_version = 10
    session = engine.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    output = session.run(None, {"i": np.array([0, 5, 99])})[0]
    assert (output.shape[-1], output.size) == (op.output_shape[-1], 3 * 64)
