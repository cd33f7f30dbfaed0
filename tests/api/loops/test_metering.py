"""The meter against operations worked out by hand, for loops as people write them, and against what may go wrong."""

import copy
import pickle
import threading
import time
from typing import Any

import pytest

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

import hwbench  # noqa: E402
from hwbench.api.loops.metering import MAX_KINDS, Meter, meter  # noqa: E402
from hwbench.errors import InputError  # noqa: E402
from hwbench.machine.device import Device  # noqa: E402
from hwbench.machine.parts import Clock, Rate, Units  # noqa: E402
from hwbench.measure.steps import TimedStep, accepted, rate  # noqa: E402
from hwbench.units import Hertz  # noqa: E402

GIGA = Device(
    title="1 GFLOP/s", kind="cpu", vendor="test",
    units=(Units("x", 1, Clock(fixed=Hertz(1e9)), rates=(Rate("vector", "x", "fp32", 1.0),)),),
)  # fmt: skip
"""A device whose peak is 1 GFLOP/s in fp32, so that utilization is FLOP / ns."""


def train(module: Any, batches: list[Any], used: Meter, loss: Any = None, **amounts: Any) -> None:
    """Run one step for each batch."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
    for batch in batches:
        with used.step(**amounts):
            output = module(*batch)
            (loss or (lambda each: each.sum()))(output).backward()
            optimizer.step()
            optimizer.zero_grad()


def flops(module: Any, *batch: Any, loss: Any = None) -> tuple[int, int]:
    """Return the model and hardware FLOP that a meter counts of a step; its rates follow from its own times."""
    with meter(module, device=GIGA) as used:
        train(module, [batch] * 8, used, loss)
        answer = used.utilization()
        steps = used._steps.every()[3:]
        regular = accepted(steps)
        assert answer.steps == len(regular) > 0
        assert answer.mfu == pytest.approx(answer.model_flops * len(regular) / sum(s.time_s for s in regular) / 1e9)
        assert answer.hfu == pytest.approx(answer.mfu * answer.hardware_flops / answer.model_flops)
        if answer.mfu_interval:
            assert answer.mfu_interval[0] <= answer.mfu <= answer.mfu_interval[1]
    return answer.model_flops, answer.hardware_flops


def left_out(used: Meter) -> dict[str, int]:
    notices = used.utilization().notices
    return {each.data["reason"]: each.data["steps"] for each in notices if each.code == "steps-left-out"}


def fail(module: Any, used: Meter) -> None:
    with used.step():
        module(torch.randn(4, 16))
        raise ZeroDivisionError


@pytest.mark.slow
def test_a_convolutional_network() -> None:
    """Convolutions of 3→8 and 8→16 channels on 12×12 and 10×10 maps, 5 images: three times, the first without dx."""
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.Flatten(), nn.Linear(1600, 10))
    first, others = 8 * 12 * 12 * 27, 16 * 10 * 10 * 72 + 1600 * 10
    expected = 2 * 5 * (2 * first + 3 * others)
    assert flops(module, torch.randn(5, 3, 14, 14)) == (expected, expected)


class Attention(nn.Module):
    """A layer of a transformer with fused attention, queries of `heads`, keys of `shared` heads."""

    def __init__(self, width: int, heads: int, shared: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.shared, self.causal, size = heads, shared, causal, width // heads
        self.q, self.kv = nn.Linear(width, width, bias=False), nn.Linear(width, 2 * shared * size, bias=False)
        self.out, self.up = nn.Linear(width, width, bias=False), nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Any) -> Any:
        batch, length, width = x.shape
        q = self.q(x).view(batch, length, self.heads, -1).transpose(1, 2)
        k, v = self.kv(x).view(batch, length, 2 * self.shared, -1).transpose(1, 2).chunk(2, 1)
        k, v = (each.repeat_interleave(self.heads // self.shared, 1) for each in (k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(functional.silu(self.up(x)))


def layer_flops(batch: int, length: int, width: int, heads: int, shared: int) -> tuple[int, int]:
    """Return the FLOP of a layer's linears, and of its attention, forward."""
    weights = width * (width + 2 * shared * width // heads + width + 8 * width)
    return 2 * batch * length * weights, 2 * 2 * batch * length * length * width


@pytest.mark.slow
def test_a_vision_transformer() -> None:
    """Patches of 4×4 by a convolution, two layers of attention: backward of attention has five products to two."""

    class Vit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(3, 32, 4, 4)
            self.layers = nn.Sequential(*(Attention(32, 4, 4, causal=False) for _ in "12"))
            self.head = nn.Linear(32, 7)

        def forward(self, x: Any) -> Any:
            return self.head(self.layers(self.patch(x).flatten(2).transpose(1, 2)).mean(1))

    linear, attention = layer_flops(3, 16, 32, 4, 4)
    patch, head = 2 * 3 * 16 * 32 * 48, 2 * 3 * 32 * 7
    expected = 2 * patch + 3 * head + 2 * (3 * linear + attention + attention * 5 // 2)
    assert flops(Vit(), torch.randn(3, 3, 16, 16)) == (expected, expected)


class Llama(nn.Module):
    """A small language model of two layers, whose layers may be computed again in the backward pass."""

    def __init__(self, again: bool) -> None:
        super().__init__()
        self.again = again
        self.embed, self.head = nn.Embedding(50, 32), nn.Linear(32, 50, bias=False)
        self.layers = nn.ModuleList(Attention(32, 4, 2, causal=True) for _ in "12")

    def forward(self, tokens: Any) -> Any:
        x = self.embed(tokens)
        for layer in self.layers:
            x = torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False) if self.again else layer(x)
        return self.head(x)


def test_a_language_model_with_and_without_checkpoints() -> None:
    """A checkpoint computes its layer again up to what the backward pass needs: all but the last product."""
    linear, attention = layer_flops(2, 8, 32, 4, 2)
    model = 3 * 2 * 2 * 8 * 32 * 50 + 2 * (3 * linear + attention + attention * 5 // 2)
    tokens = torch.randint(0, 50, (2, 8))

    def loss(output: Any) -> Any:
        return functional.cross_entropy(output.flatten(0, 1), tokens.flatten())

    assert flops(Llama(again=False), tokens, loss=loss) == (model, model)
    last = 2 * 2 * 8 * 4 * 32 * 32
    again = 2 * (linear + attention - last)
    assert flops(Llama(again=True), tokens, loss=loss) == (model, model + again)


def test_gradients_accumulated_over_batches() -> None:
    module = nn.Linear(20, 30)
    with meter(module, device=GIGA) as used:
        for _ in range(8):
            with used.step():
                for _ in range(3):
                    module(torch.randn(4, 20)).sum().backward()
        answer = used.utilization()
    assert answer.model_flops == 3 * 2 * 2 * 4 * 20 * 30  # no gradient of the input
    assert answer.samples_per_s == pytest.approx(12 * answer.flops_per_second / answer.model_flops)


def test_a_recurrent_network() -> None:
    """Four gates of an LSTM for each of 6 steps, backward twice.

    oneDNN's kernel computes the gradient of the input as well, wanted or not; torch's own products leave that out, and
    the one of the first state.
    """

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(10, 16, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.lstm(x)[0]

    inputs, hidden = 2 * 3 * 6 * 64 * 10, 2 * 3 * 6 * 64 * 16
    model, hardware = flops(Recurrent(), torch.randn(3, 6, 10))
    assert model == hardware
    one_kernel = torch.backends.mkldnn.is_available()
    assert model == (3 * (inputs + hidden) if one_kernel else 2 * inputs + 3 * hidden - hidden // 6)


def test_the_dtype_is_the_one_that_autocast_computes_in() -> None:
    module = nn.Linear(64, 64)
    with meter(module) as used:
        for _ in range(6):
            with used.step(), torch.autocast("cpu", torch.bfloat16):
                module(torch.randn(8, 64)).sum().backward()
        assert next(iter(used.counted.values())).dtypes == {"bf16": 2 * 2 * 8 * 64 * 64}


def test_an_uneven_last_batch_is_a_kind_of_its_own() -> None:
    module = nn.Linear(16, 16)
    with meter(module, device=GIGA) as used:
        for _ in range(4):  # epochs
            train(module, [(torch.randn(n, 16),) for n in (8, 8, 8, 3)], used)
        assert sorted(work.model_flops for work in used.counted.values()) == [2 * 2 * 3 * 256, 2 * 2 * 8 * 256]
        answer = used.utilization()
        steps = accepted(used._steps.every()[3:])
        samples = sum(step.samples or 0 for step in steps)
        assert answer.samples_per_s == pytest.approx(samples / sum(step.time_s for step in steps))
        assert answer.flops_per_second == pytest.approx(answer.samples_per_s * 2 * 2 * 256)


def test_shapes_that_differ_within_a_step_are_left_out_aloud() -> None:
    module = nn.Linear(16, 16)
    with meter(module, device=GIGA) as used:
        for last in (4, 4, 4, 4, 4, 4, 2, 4, 4):
            with used.step():
                for size in (4, last):
                    module(torch.randn(size, 16)).sum().backward()
        assert left_out(used)["uncounted"] == 1
        assert used.model_flops == 2 * 2 * 2 * 4 * 256


def test_skipped_failed_nested_steps_and_those_of_other_threads_are_left_out_aloud() -> None:
    module = nn.Linear(16, 16)
    batch = torch.randn(4, 16)
    with meter(module, device=GIGA) as used:
        train(module, [(batch,)] * 8, used)
        timed = len(used._steps.every())
        with used.step() as step:
            step.skip()
            module(batch)
        with used.step():
            pass
        with pytest.raises(ZeroDivisionError):
            fail(module, used)
        thread = threading.Thread(target=lambda: train(module, [(batch,)], used))
        thread.start()
        thread.join()
        assert len(used._steps.every()) == timed
        with used.step(), used.step():
            module(batch).sum().backward()
        assert len(used._steps.every()) == timed + 1
        reasons = left_out(used)
        assert {"skipped": 1, "not-called": 1, "failed": 1, "other-thread": 1, "nested": 1}.items() <= reasons.items()


def test_an_exception_in_the_step_that_is_counted_ends_the_counting() -> None:
    module = nn.Linear(16, 16)
    with meter(module, device=GIGA) as used:
        with pytest.raises(ZeroDivisionError):
            fail(module, used)
        assert not used.counted
        assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
        train(module, [(torch.randn(4, 16),)] * 6, used)
        assert used.model_flops == 2 * 2 * 4 * 256


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch itself
def test_a_compiled_module_counts_what_its_own_does_and_its_compilation_is_left_out() -> None:
    module = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16))
    compiled = torch.compile(module)
    with meter(compiled, device=GIGA) as used:
        train(compiled, [(torch.randn(4, 16),)] * 10, used)
        answer = used.utilization()
    assert answer.model_flops == 2 * 4 * (2 * 16 * 32 + 3 * 32 * 16)
    assert answer.time_s < 0.5


def test_a_slow_step_is_an_outlier() -> None:
    module = nn.Linear(16, 16)
    with meter(module, device=GIGA) as used:
        for number in range(12):
            with used.step():
                module(torch.randn(4, 16))
                time.sleep(0.2 if number == 8 else 0.02)
        answer = used.utilization()
    assert answer.left_out == 3 + 1  # warm-up, outlier
    assert answer.share_left_out > 0.4
    assert answer.time_s < 0.1


def test_a_loader_and_a_decorator_and_no_module_at_all() -> None:
    weight = torch.randn(16, 16)
    used = meter(device=GIGA)
    for batch in used.steps([torch.randn(4, 16) for _ in range(6)], samples=len):
        batch @ weight

    @used.step(samples=4)
    def work() -> None:
        torch.randn(4, 16) @ weight

    work()
    work()
    answer = used.utilization()
    assert answer.model_flops == 2 * 4 * 256
    assert answer.steps + answer.left_out == 7  # the first was counted
    assert str(answer).startswith(f"{answer.steps} steps on 1 GFLOP/s")


def test_a_name_stands_for_its_operations() -> None:
    used = meter("alexnet", device=GIGA, mode="inference")
    for _ in range(6):
        with used.step(samples=2):
            time.sleep(0.01)
    answer = used.utilization()
    assert answer.model_flops == 2 * hwbench.count("alexnet").flops


def test_more_kinds_than_are_counted_are_left_out() -> None:
    module = nn.Linear(4, 4)
    with meter(module, device=GIGA) as used:
        for size in [*range(1, MAX_KINDS + 10), *(1,) * 6]:
            with used.step():
                module(torch.randn(size, 4))
        assert len(used.counted) == MAX_KINDS
        assert left_out(used)["uncounted"] == 9


def test_what_cannot_be_metered_is_said() -> None:
    with pytest.raises(InputError) as caught:
        meter().utilization()
    assert caught.value.code == "no-steps"
    with pytest.raises(InputError) as caught:
        meter(nn.Linear(1, 1), device="cuda:99")
    assert caught.value.code == "no-torch-device"
    with pytest.raises(InputError) as caught:
        meter(device="no such card")
    assert caught.value.code == "unknown-device"
    for wrong in ({"warm_up": -1}, {"warm_up": 1.5}, {"mode": "fast"}, {"device": 3}, {"dtype": "fp64"}, {"model": 1}):
        with pytest.raises(InputError) as caught:
            meter(**{"device": GIGA, **wrong})
        assert caught.value.field == next(iter(wrong))
    for amount in (0, -1, 2.5, "4", True):
        with pytest.raises(InputError) as caught:
            meter(device=GIGA).step(samples=amount)
        assert (caught.value.code, caught.value.field) == ("amount-range", "samples")
    with pytest.raises(InputError) as caught:
        meter("alexnet", device=GIGA).step()
    assert caught.value.code == "no-samples"


def test_a_rate_that_is_unknown_leaves_utilization_unknown() -> None:
    half = nn.Linear(8, 8).double()
    with meter(half, device=GIGA) as used:
        train(half, [(torch.randn(2, 8).double(),)] * 6, used)
        answer = used.utilization()
    assert (answer.dtype, answer.mfu, answer.peak_flops_per_second) == ("fp64", None, None)
    assert "no-prediction" in {each.code for each in answer.notices}
    assert str(answer)


def test_a_loop_that_is_left_leaves_no_step_open() -> None:
    module, used = nn.Linear(16, 16), meter(device=GIGA)
    loops = [used.steps([torch.randn(4, 16)] * 5) for _ in range(4)]  # which keeps them alive
    for loop in loops:
        for number, batch in enumerate(loop):
            module(batch).sum().backward()
            if number == 2:
                break
    assert left_out(used)["skipped"] == 3
    assert used._current is not None  # of the last loop, alone
    del loops, loop
    assert used._current is None


def test_copies_of_a_module_are_not_metered() -> None:
    module = nn.Linear(16, 16)
    with meter(module, device=GIGA) as used:
        for _ in range(6):
            with used.step():
                module(torch.randn(4, 16)).sum().backward()
                for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
                    next(iter(other._forward_pre_hooks.values()))(other, (torch.randn(9, 16),), {})
        assert used.utilization().samples_per_s == pytest.approx(4 * used.flops_per_second / (2 * 2 * 4 * 256))


def test_kinds_differ_in_gradients_but_not_in_amounts_beside_a_module() -> None:
    module = nn.Linear(16, 16)
    with meter(module, device=GIGA) as used:
        for number in range(6):
            train(module, [(torch.randn(4, 16),)], used, tokens=torch.tensor(60 + number))
            with used.step(), torch.no_grad():
                module(torch.randn(4, 16))
        assert sorted(work.model_flops for work in used.counted.values()) == [2 * 4 * 256, 2 * 2 * 4 * 256]


def test_samples_that_shapes_do_not_tell_are_unknown() -> None:
    """Gradients of each sample, where shapes are of one; a list of images; a module that a checkpoint calls again."""
    module, batch = nn.Linear(16, 16), torch.randn(4, 16)
    weights = {name: each.detach() for name, each in module.named_parameters()}

    def loss(weights: Any, x: Any) -> Any:
        return torch.func.functional_call(module, weights, (x,)).sum()

    with meter(module, device=GIGA) as used:
        for _ in range(6):
            with used.step():
                torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, batch)
        assert (used.samples_per_s, used.model_flops) == (None, 2 * 2 * 4 * 256)
        with used.step() as step:
            torch.utils.checkpoint.checkpoint(module, batch.requires_grad_(), use_reentrant=False).sum().backward()
        assert step.size == 4
        step.see(([torch.randn(3, 8, 8)] * 2,), {})
        assert step.size is None


def test_what_is_compiled_as_a_whole_is_counted_uncompiled_and_else_said() -> None:
    module = nn.Linear(16, 16)
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    with meter(compiled, device=GIGA) as used, meter(module, device=GIGA) as inner:
        for _ in range(6):
            with used.step(), inner.step():
                compiled(torch.randn(4, 16)).sum().backward()
    assert used.model_flops == 2 * 2 * 4 * 256
    assert inner.left_out["not-called"] >= 5
    assert "compiled" in str(inner)


def test_the_rate_and_its_interval_by_hand() -> None:
    """Steps of 1 and 3 s that do 2 each: 8 / 8 s; errors ±1, variance 4/3, error of the sum √(4·4/3) over 8 s."""
    steps = [TimedStep("a", seconds, None) for seconds in (1.0, 3.0, 1.0, 3.0)]
    found = rate(steps, [2.0] * 4)
    assert found is not None
    assert found.value == 1
    assert found.high - 1 == pytest.approx(3.182446 * (4 / 3 / 4) ** 0.5 * 4 / 8, rel=1e-5)
    assert rate(steps[:2], [2.0] * 2) is None


@pytest.mark.slow
def test_processes_of_torch_distributed_gather_their_answers(tmp_path: Any) -> None:
    torch.multiprocessing.spawn(_rank, (2, str(tmp_path)), nprocs=2)
    assert sorted(path.read_text() for path in tmp_path.glob("answer-*")) == ["2 2048", "2 2048"]


def _rank(rank: int, world: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/init", rank=rank, world_size=world)
    module = nn.parallel.DistributedDataParallel(nn.Linear(16, 16))
    with meter(module, device=GIGA) as used:
        train(module, [(torch.randn(2, 16),)] * 6, used)
        answers = used.gathered()
    with open(f"{folder}/answer-{rank}", "w", encoding="utf-8") as file:
        file.write(f"{len(answers)} {answers[rank].model_flops}")
    torch.distributed.destroy_process_group()


class Recursive(torch.nn.Module):
    """Calls itself on halves, as trees do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(16, 16)

    def forward(self, x: Any) -> Any:
        return self.layer(x) if len(x) <= 2 else torch.cat([self(half) for half in x.chunk(2)])


def test_calls_of_a_module_within_itself_are_no_samples_of_their_own() -> None:
    model = Recursive()
    with meter(model, device="i7-12700h") as used:
        for _ in range(9):
            with used.step():
                model(torch.randn(8, 16)).sum().backward()
        answer = used.utilization()
        assert answer.samples_per_s == pytest.approx(8 * answer.flops_per_second / answer.model_flops)
        with pytest.raises(RuntimeError), used.step():
            model(torch.randn(8, 17))
        with used.step():
            model(torch.randn(8, 16)).sum().backward()
        assert len(used.counted) == 1


def test_steps_go_on_after_an_iterator_that_nobody_goes_on_with() -> None:
    model = torch.nn.Linear(16, 16)
    with meter(model, device="i7-12700h") as used:
        batches = used.steps([torch.randn(4, 16)] * 5)
        model(next(batches))
        for _ in range(8):
            with used.step():
                model(torch.randn(4, 16)).sum().backward()
        others = left_out(used)  # among them those that the machine slowed down
        assert used.utilization().steps + others.pop("slow", 0) == 8 - 1 - used.warm_up
        assert others == {"skipped": 1}


def test_a_meter_explains_its_steps_by_module() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with meter(model, device="i7-12700h") as used:
        for batch in used.steps([torch.randn(8, 16) for _ in range(9)]):
            model(batch).sum().backward()
            optimizer.step()
        found = used.explain()
    blocks = {block.name: block for block in found.blocks}
    assert blocks["0"].flops == 2 * 2 * 8 * 16 * 64  # without the gradient of the data
    assert blocks["2"].flops == 3 * 2 * 8 * 64 * 4
    assert sum(block.flops for block in found.blocks) == used.model_flops
    assert found.waiting == pytest.approx(found.wait_s / (found.wait_s + found.time_s))
    assert found.compute + found.memory + found.overhead + found.waiting == pytest.approx(1)
