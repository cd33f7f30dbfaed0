"""Memory at its peak: by hand, and as torch's allocator measures it on real tensors."""

import copy
import gc
from typing import Any

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn
F = torch.nn.functional

from torch.profiler import ProfilerActivity, profile  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import hwbench  # noqa: E402
from hwbench.workload.tracing import trace as torch_trace  # noqa: E402
from hwbench.workload.tracing.twins import tensors  # noqa: E402

N, A, B, C = 4, 64, 128, 32
"""Samples, and elements of one in each tensor of the networks by hand."""


class Function(nn.Module):
    """A function of its layers and the input."""

    def __init__(self, function: Any, *layers: Any) -> None:
        super().__init__()
        self.layers, self.function = nn.ModuleList(layers), function

    def forward(self, x: Any) -> Any:
        return self.function(self.layers, x)


def memory(module: Any, x: Any = None, **options: Any) -> Any:
    return hwbench.count(module, torch.empty(N, A) if x is None else x, **options).memory


def test_a_chain_holds_the_input_and_two_neighbours() -> None:
    chain = nn.Sequential(nn.Linear(A, B), nn.Sigmoid(), nn.Linear(B, C))
    answer = memory(chain)
    assert answer.activations_bytes == 4 * N * (A + 2 * B)
    assert answer.weights_bytes == 4 * (A * B + B + B * C + C)
    assert answer.peak_bytes == answer.weights_bytes + answer.activations_bytes
    assert (answer.gradients_bytes, answer.optimizer_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("function", "elements"),
    [
        (lambda _, x: x.relu().relu_().mul_(2), 2 * A),  # in place
        (lambda _, x: x.view(N, 2, -1).transpose(1, 2)[:, :3], A),  # views
        (lambda _, x: torch.cat([x, x, x], 1), 4 * A),
        (lambda _, x: (x + 1).sum(1), 2 * A + 1),
        (lambda _, x: [x + 1, x + 2, x + 3], 4 * A),  # what is returned exists until the end
        (lambda _, x: x + x.expand(5, N, A), 6 * A),
    ],
)
def test_views_and_operators_in_place_take_nothing(function: Any, elements: int) -> None:
    assert memory(Function(function)).activations_bytes == 4 * N * elements


def test_indices_keep_their_size_whatever_the_dtype() -> None:
    table, indices = nn.Embedding(10, A), torch.zeros(N, 3, dtype=torch.int64)
    assert memory(table, indices, dtype="fp16").activations_bytes == N * 3 * (8 + 2 * A)
    assert memory(table, indices, dtype="fp16", batch=7).activations_bytes == 7 * 3 * (8 + 2 * A)


def test_what_does_not_grow_with_the_batch_is_held_once() -> None:
    weighing = Function(lambda layers, x: F.linear(x, layers[0].weight * 2), nn.Linear(A, B))
    assert memory(weighing, batch=10).activations_bytes == 4 * (10 * (A + B) + A * B)


def test_a_training_step_keeps_what_its_backward_pass_reads() -> None:
    """Input and both results of sigmoid, in the backward pass with gradients of the last product's result and input."""
    chain = nn.Sequential(nn.Linear(A, B, bias=False), nn.Sigmoid(), nn.Linear(B, B, bias=False), nn.Sigmoid())
    answer = memory(chain, mode="training", optimizer="adam")
    assert answer.activations_bytes == 4 * (N * (A + 4 * B) + 2)  # with the loss and its gradient
    assert answer.gradients_bytes == answer.weights_bytes == 4 * (A * B + B * B)
    assert answer.optimizer_bytes == 2 * answer.weights_bytes
    assert answer.peak_bytes < sum(
        (answer.weights_bytes, answer.gradients_bytes, answer.optimizer_bytes, answer.activations_bytes)
    )


def deep(again: Any) -> Any:
    blocks = [nn.Sequential(nn.Linear(A, 4 * A), nn.GELU(), nn.Linear(4 * A, A)) for _ in range(6)]

    def run(layers: Any, x: Any) -> Any:
        for layer in layers:
            x = again(layer, x) if again else layer(x)
        return x

    return Function(run, *blocks)


def test_checkpoints_keep_less() -> None:
    def again(layer: Any, x: Any) -> Any:
        return checkpoint(layer, x, use_reentrant=False, preserve_rng_state=False)

    plain, less = (memory(deep(kind), mode="training").activations_bytes for kind in (None, again))
    inside = 4 * N * 2 * 4 * A  # of one block: what GELU reads, and what it writes
    assert plain - less == 5 * inside


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.projection, self.output = nn.Linear(A, 3 * A), nn.Linear(A, A)

    def forward(self, x: Any) -> Any:
        q, k, v = self.projection(x).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-1, -2)).softmax(-1)
        return x + self.output((scores @ v).transpose(1, 2).flatten(2))


def again(reentrant: bool) -> Any:
    return lambda layer, x: checkpoint(layer, x, use_reentrant=reentrant, preserve_rng_state=False)


def tied(layers: Any, x: Any) -> Any:
    return layers[1](layers[0](x)) @ layers[0].weight


NETWORKS = {
    "one layer": nn.Linear(A, B),
    "relu": nn.Sequential(nn.Linear(A, B), nn.ReLU(), nn.Linear(B, C)),
    "relu in place": nn.Sequential(nn.Linear(A, B), nn.ReLU(True), nn.Linear(B, B), nn.ReLU(True), nn.Linear(B, C)),
    "gelu": nn.Sequential(nn.Linear(A, B), nn.GELU(), nn.Linear(B, A), nn.SiLU(), nn.Linear(A, C)),
    "norms": nn.Sequential(nn.LayerNorm(A), nn.Linear(A, B), nn.LayerNorm(B), nn.Tanh(), nn.Linear(B, A)),
    "residual": Function(lambda m, x: x + m[1](m[0](x).relu()), nn.Linear(A, B), nn.Linear(B, A)),
    "branches": Function(lambda m, x: torch.cat([layer(x) for layer in m], 1), *(nn.Linear(A, n) for n in (B, C, 8))),
    "gate": Function(lambda m, x: m[0](x) * m[1](x).sigmoid(), nn.Linear(A, B), nn.Linear(A, B)),
    "chunks": Function(lambda m, x: torch.mul(*m[0](x).chunk(2, 1)), nn.Linear(A, B)),
    "softmax": Function(lambda m, x: m[1](m[0](x).softmax(-1)).log_softmax(-1), nn.Linear(A, B), nn.Linear(B, C)),
    "reused": Function(lambda m, x: m[0](m[0](m[0](x)).tanh()), nn.Linear(A, A)),
    "tied": Function(tied, nn.Linear(A, B), nn.Linear(B, B)),
    "of one sample": Function(lambda m, x: m[0](x).mean(0, keepdim=True) * x, nn.Linear(A, A)),
    "squares": Function(lambda m, x: (m[0](x) ** 2).sum(-1).sqrt().exp(), nn.Linear(A, B)),
    "masks": Function(lambda m, x: torch.where(x > 0, m[0](x), x), nn.Linear(A, A)),
    "sorted": Function(lambda m, x: m[0](x).max(-1).values + m[0](x).gather(1, x[:, :C].argmax(-1, True)),
                       nn.Linear(A, B)),
    "cumulative": Function(lambda m, x: m[0](x).cumsum(-1) * x.flip(-1), nn.Linear(A, A)),
    "loss": Function(lambda m, x: (m[0](x) - x).square().sum() + m[0](x).abs().mean(), nn.Linear(A, A)),
    "parts in place": Function(lambda m, x: m[0](x).mul_(2).add_(x).clamp_(0, 1), nn.Linear(A, A)),
    "sums of gradients": Function(lambda m, x: [layer(x := m[3](x).sin()) for layer in m[:3]] + [x.cos()],
                                  nn.Linear(A, B), nn.Linear(A, C), nn.Linear(A, A), nn.Linear(A, A)),
    "deep": deep(None),
    "checkpoints": deep(again(False)),
    "reentrant checkpoints": deep(again(True)),
    "attention": nn.Sequential(Attention(), nn.LayerNorm(A), Attention()),
    "pools": nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.MaxPool2d(2), nn.Upsample(scale_factor=2), nn.Flatten(),
                           nn.Linear(A, C)),
    "unused": Function(lambda m, x: (m[0](x), m[1](x))[1], nn.Linear(A, B), nn.Linear(A, C)),
}  # fmt: skip


class Bent(nn.Module):
    """A network whose outputs are bent: the gradient of a sum alone is one number, which kernels of products copy."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Any) -> Any:
        return [output.sin() for output in tensors(self.network(x))]


def allocated(module: Any, x: Any, training: bool) -> int:
    """Return the bytes at the peak of torch's allocator in a real run, with the input."""
    module.train(training)
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run, torch.set_grad_enabled(training):
        output = module(x)
        if training:
            torch.autograd.backward([tensor.sum() for tensor in tensors(output)])
    sizes = [event.nbytes() for event in run.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = [sum(sizes[:end]) for end in range(len(sizes) + 1)]
    return x.numel() * x.element_size() + max(live)


@pytest.mark.sample(2)
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_allocator_agrees(name: str, training: bool) -> None:
    module = Bent(copy.deepcopy(NETWORKS[name]))
    x = torch.rand(6, 5, A) if "attention" in name else torch.rand(6, A)
    x.requires_grad_("reentrant" in name)
    found = torch_trace.trace(module, (x,), batch=6, training=training, whole=True)
    assert 4 * found.passes.elements + found.passes.bytes == allocated(module, x, training)
