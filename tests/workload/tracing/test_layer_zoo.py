"""Networks of one kind of layer: each traces whole, and runs as it was counted."""

import pytest

from hwbench.errors import InputError
from hwbench.workload import load
from hwbench.workload.request import ModelRequest

torch = pytest.importorskip("torch")

from hwbench.workload.tracing import drawn_layers, layer_zoo  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize("name", layer_zoo.LAYERS)
def test_a_network_is_counted_whole(name):
    counted = load.workload(ModelRequest(f"layers:{name}"))
    assert not counted.uncounted
    assert not counted.fixed
    assert counted.params == sum(each.numel() for each in layer_zoo.LAYERS[name][0]().parameters())
    assert counted.macs or name.partition("-")[0] in ("norm", "activation", "tiny", "resample")


def test_counts_of_layers_worked_out_by_hand():
    wide = load.workload(ModelRequest("layers:conv-wide"))
    assert wide.macs == 4 * 256 * 256 * 9 * 14 * 14
    assert load.workload(ModelRequest("layers:grouped-two")).macs == 4 * 128 * 64 * 9 * 28 * 28
    assert load.workload(ModelRequest("layers:transposed-plain")).macs == 3 * 64 * 64 * 9 * 28 * 28


def test_a_network_runs_and_keeps_its_residuals():
    make, shape = layer_zoo.LAYERS["attention-shared"]
    assert make()(torch.zeros(2, *shape)).shape == (2, *shape)
    dense, _ = layer_zoo.LAYERS["dense-block"]
    assert dense()(torch.zeros(1, 32, 8, 8)).shape == (1, 32 + 8 * 16, 8, 8)


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(InputError) as error:
        load.workload(ModelRequest("layers:conv-wid"))
    assert error.value.code == "unknown-model"
    assert "conv-wide" in error.value.nearest


@pytest.mark.parametrize("kind", drawn_layers.KINDS)
def test_a_drawn_network_is_the_same_each_time_and_counted_whole(kind):
    make, shape = drawn_layers.drawn(f"{kind}-7")
    one, two = ([tuple(each.shape) for each in make().parameters()] for _ in range(2))
    assert one == two
    counted = load.workload(ModelRequest(f"layers:{kind}-7"))
    assert counted.params == sum(each.numel() for each in make().parameters())
    assert not counted.uncounted
    assert counted.input_shape == shape


@pytest.mark.parametrize("name", ["conv-", "conv-x", "conv-123456", "other-1", "conv-\u0661"])
def test_a_name_of_another_form_is_not_drawn(name):
    assert drawn_layers.drawn(name) is None
