"""What a saved run of somebody may hold: numbers with two ends, as many samples as memory allows to resample."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from hwbench.errors import InputError
from hwbench.measure import record, store
from hwbench.stats.comparison import ratio_of_medians
from hwbench.stats.intervals import median_interval

GOLDEN = Path(__file__).parents[1] / "golden" / "run-2.json"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repetitions", 10**400), ("repetitions", 0), ("wall_s", 5e-324), ("wall_s", 1e-16), ("wall_s", 1e31),
        ("cpu_s", 5e-324), ("process", 2**63), ("cycles", 5e-324),
    ],
)  # fmt: skip
def test_a_sample_out_of_range_is_refused(field: str, value: float) -> None:
    data: Any = json.loads(GOLDEN.read_text())
    data["measurements"][0]["samples"][0][field] = value
    with pytest.raises(InputError) as caught:
        store.decode(json.dumps(data))
    assert caught.value.code == "not-a-run"


def test_the_number_of_samples_is_limited() -> None:
    data: Any = json.loads(GOLDEN.read_text())
    samples = data["measurements"][0]["samples"]
    data["measurements"][0]["samples"] = samples[:1] * (record.MAX_SAMPLES + 1)
    with pytest.raises(InputError) as caught:
        store.decode(json.dumps(data))
    assert caught.value.field == "measurements[0].samples"


@pytest.mark.slow
def test_intervals_of_many_samples_take_little_memory() -> None:
    values = [1 + index % 7 for index in range(50_000)]
    tracemalloc.start()
    median_interval(values)
    ratio_of_medians([[values]], [[values]], 0.03)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20
