"""Real forward passes: right shapes, finite outputs, the parameters that are counted, time by layer. Needs torch."""

import sys
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hwbench.errors import HwbenchError, InputError
from hwbench.measure.harness import SamplingLimits, measure
from hwbench.measure.subject import ForwardPass
from hwbench.workload.request import ModelRequest

torch = pytest.importorskip("torch")


from hwbench.measure.inference import layer_times, tasks  # noqa: E402
from hwbench.measure.inference import model as inference  # noqa: E402
from hwbench.measure.inference.tasks import PreparedModel, RunSetting  # noqa: E402
from hwbench.measure.torch.device import CPU, TorchDevice  # noqa: E402

pytestmark = pytest.mark.realtime

LENET = ModelRequest("lenet5")

FACTORY = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(11, 6)
        self.head = torch.nn.Linear(6, 4)
        self.mix = Mix()

    def forward(self, tokens, mask):
        return self.mix(self.head(self.table(tokens)), mask)

class Mix(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.ReLU()

    def forward(self, x, mask):
        return self.inner(x) * 2 * mask.unsqueeze(-1)

def net():
    return Net(), (torch.zeros(3, 5, dtype=torch.int64), torch.ones(3, 5, dtype=torch.bool))

class Odd(torch.nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value
    def forward(self, x):
        return x / self.value

def infinite():
    return Odd(0.0), (torch.ones(2, 3),)

def failing():
    return torch.nn.Sequential(Odd(1.0), torch.nn.Flatten(), Odd(None)), (torch.ones(2, 3),)
"""


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "nets_to_run.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("nets_to_run", None)
    return "torch:nets_to_run"


@pytest.mark.parametrize("dtype", ["fp32", "fp64", "bf16"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_catalogued_model_runs(dtype: str, batch: int) -> None:
    prepared = PreparedModel(inference.build(LENET), RunSetting(CPU, dtype, batch))
    (output,) = prepared.network.outputs()
    assert output.shape == (batch, 10)
    assert prepared.network.precision == dtype
    assert prepared.check()


def test_inputs_rotate() -> None:
    prepared = PreparedModel(inference.build(LENET), RunSetting(CPU))
    network = prepared.network
    outputs = [network.run(network.module, number) for number in range(inference.INPUTS + 1)]
    assert torch.equal(outputs[0], outputs[-1])
    assert not torch.equal(outputs[0], outputs[1])


def test_the_model_is_left_as_it_was() -> None:
    model = inference.build(LENET)
    before = [parameter.clone() for parameter in model.module.parameters()]
    PreparedModel(model, RunSetting(CPU, "bf16", channels_last=True))
    assert all(torch.equal(a, b) for a, b in zip(before, model.module.parameters(), strict=True))


def test_other_parameters_than_counted_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = inference.layer_network.module

    def other(*arguments: Any, **options: Any) -> Any:
        network = module(*arguments, **options)
        network.extra = torch.nn.Parameter(torch.zeros(5))
        return network

    monkeypatch.setattr(inference.layer_network, "module", other)
    with pytest.raises(HwbenchError, match="61711"):
        inference.build(LENET)


def test_another_shape_than_counted_is_refused() -> None:
    model = msgspec.structs.replace(inference.build(LENET), output_shape=(11,))
    with pytest.raises(HwbenchError, match=r"\(1, 10\).*\(1, 11\)"):
        PreparedModel(model, RunSetting(CPU)).check()


def test_a_module_of_ones_own_runs_at_another_batch(factory: str) -> None:
    model = inference.build(ModelRequest(f"{factory}:net"))
    assert model.workload.params == 11 * 6 + 6 * 4 + 4
    prepared = PreparedModel(model, RunSetting(CPU, batch=7))
    assert prepared.network.outputs()[0].shape == (7, 5, 4)
    assert prepared.check()


def test_an_infinite_output_is_noticed(factory: str) -> None:
    assert not PreparedModel(inference.build(ModelRequest(f"{factory}:infinite")), RunSetting(CPU)).check()


def test_what_torch_cannot_run_is_one_line(factory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = inference.build(LENET)
    prepared = PreparedModel(model, RunSetting(CPU))
    prepared.network.inputs = [(torch.ones(1, 2),)]
    with pytest.raises(HwbenchError, match="batch 1 in fp32: RuntimeError: ") as caught:
        prepared.network.call()
    assert "\n" not in str(caught.value)


def test_a_compiled_module_must_agree_with_the_eager_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = inference.build(LENET)
    for factor, right in ((1.0, True), (1.1, False)):
        monkeypatch.setattr(torch, "compile", lambda module, f=factor: lambda data: module(data) * f)
        assert PreparedModel(model, RunSetting(CPU, runtime="torch-compile")).check() is right


def test_decoding_starts_from_the_same_cache_each_pass() -> None:
    pytest.importorskip("transformers")
    sizes = "num_hidden_layers=2&hidden_size=32&intermediate_size=64&num_attention_heads=4&vocab_size=50"
    model = inference.build(ModelRequest(f"hf:llama?{sizes}&num_key_value_heads=2", phase="decode", context=6))
    prepared = PreparedModel(model, RunSetting(CPU, batch=3))
    network = prepared.network
    caches = [[one for one in network.run(network.module, number) if one.dim() == 4] for number in range(3)]
    assert {cache.shape[2] for run in caches for cache in run} == {7}
    assert len(caches[0]) == 4, "keys and values of two layers"
    assert prepared.check()
    ids = next(one for one in prepared.inputs[0] if not one.is_floating_point() and one.shape[-1] == 1)
    assert ids.shape == (3, 1)
    assert int(ids.max()) < 50


@pytest.mark.parametrize("dtype", ["int8", "amp", "tf32"])
def test_dtypes_that_do_not_run(dtype: str) -> None:
    with pytest.raises(InputError) as caught:
        tasks.check_setting(RunSetting(CPU, dtype))
    assert (caught.value.code, caught.value.field) == ("unsupported-dtype", "dtype")
    tasks.check_setting(RunSetting(TorchDevice("cuda:0", "a card"), "amp"))


def test_a_model_too_large_for_memory() -> None:
    workload = inference.build(LENET).workload
    tasks.check_memory(RunSetting(CPU), workload, 1e9)
    tasks.check_memory(RunSetting(CPU), workload, None)
    with pytest.raises(InputError) as caught:
        tasks.check_memory(RunSetting(CPU), workload, 1e3)
    assert (caught.value.code, caught.value.field) == ("out-of-memory", "batch")


def test_a_task_measures_and_says_what_it_ran() -> None:
    task = tasks.task(inference.build(LENET), RunSetting(CPU, batch=2, threads=1))
    (found,) = measure([task], 0.2, limits=SamplingLimits(sample_s=0.002))
    assert (found.kernel, found.variant, found.unit, found.size) == ("inference", "eager", "s", "lenet5 batch 2")
    assert found.checked is True
    assert isinstance(found.subject, ForwardPass)
    assert found.subject.flops == 2 * 416520 * 2
    assert (found.subject.runtime or "").startswith("torch-2.")
    assert (found.subject.version, found.subject.precision) == (torch.__version__.partition("+")[0], "fp32")
    assert found.samples


def test_every_layer_is_timed() -> None:
    model = inference.build(LENET)
    found = layer_times.module_times(PreparedModel(model, RunSetting(CPU)), budget_s=0.01)
    assert [part.name for part in found] == [op.name for op in model.workload.ops]
    assert all(part.time.value > 0 and part.calls == 1 for part in found)
    assert not any(module._forward_hooks for module in model.module.modules())


def test_what_is_within_a_module_is_not_its_own_time(factory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = inference.build(ModelRequest(f"{factory}:net"))
    ticks = count(step=10e-6)
    monkeypatch.setattr(TorchDevice, "mark", lambda _place: next(ticks))
    found = {
        part.name: part.time.value
        for part in layer_times.module_times(PreparedModel(model, RunSetting(CPU)), budget_s=0.0)
    }
    assert found["head"] == pytest.approx(10e-6)
    assert found["mix.inner"] == pytest.approx(10e-6)
    assert found["mix"] == pytest.approx(20e-6)  # three ticks from end to end, one of them its part's
    assert found[""] == pytest.approx(40e-6)
    names = {op.name.rpartition(":")[0] for op in inference.unfolded(model, ModelRequest(f"{factory}:net")).ops}
    assert names == {"table", "head", "mix", "mix.inner"}
