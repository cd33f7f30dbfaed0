"""Any code as a run: timed turn by turn, with its operations where torch did some, saved and compared."""

import time
from pathlib import Path

import pytest

import hwbench
from hwbench.errors import InputError
from hwbench.measure.store import load
from hwbench.measure.subject import Code

pytestmark = pytest.mark.realtime


def test_each_turn_is_a_sample(tmp_path: Path) -> None:
    with hwbench.record("sleep", save=str(tmp_path)) as run:
        for _ in run.samples(7):
            time.sleep(0.002)
    (saved,) = load(run.path).measurements
    assert len(saved.samples) in (6, 7)  # the first is counted where torch is imported
    assert (saved.kernel, saved.variant, saved.timer) == ("code", "sleep", "wall")
    assert run.time_s >= 0.002
    assert hwbench.compare(run.path, run.path)
    assert "sleep" in str(run)


def test_a_block_without_turns_is_one_sample() -> None:
    with hwbench.record() as run:
        time.sleep(0.002)
    (row,) = run.answer.results
    assert (row.variant, row.samples, run.path) == ("code", 1, None)
    assert run.time_s >= 0.002


def test_what_torch_computes_is_counted_in_the_first_turn() -> None:
    torch = pytest.importorskip("torch")
    layer, data = torch.nn.Linear(8, 16), torch.ones(4, 8)
    with hwbench.record("steps") as run:
        for _ in run.samples(6):
            layer(data).sum().backward()
    assert run.flops == 2 * (2 * 4 * 8 * 16)  # forward, and the gradient of the weights
    assert run.answer.run.measurements[0].subject == Code(flops=run.flops)
    assert len(run.answer.run.measurements[0].samples) == 5
    assert run.flops_per_second == pytest.approx(run.flops / run.time_s)


def test_code_that_fails_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(KeyError), hwbench.record("broken", save=str(tmp_path)) as run:
        raise KeyError("x")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError) as caught:
        _ = run.time_s
    assert caught.value.code == "not-recorded"


@pytest.mark.parametrize("name", ["", "x" * 61, "a\x1b[2J"])
def test_names_are_short_and_printable(name: str) -> None:
    with pytest.raises(InputError) as caught:
        hwbench.record(name)
    assert caught.value.code == "bad-name"
