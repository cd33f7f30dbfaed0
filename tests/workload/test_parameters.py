"""Which parameters are trainable, no embeddings, or at work for one token: by hand."""

from typing import Any

import pytest

import hwbench
from hwbench.report.text.workload import summary
from hwbench.workload.formulas import onnx_cost
from hwbench.workload.formulas.cost import Call, Tensor


def test_a_list_of_layers_is_trainable() -> None:
    answer = hwbench.count("bert-base")
    assert answer.trainable_params == answer.params == answer.active_params
    tables = 30_522 + 512 + 2  # words, positions and segments
    assert answer.non_embedding_params == answer.params - tables * 768
    assert answer.to_dict()["non_embedding_params"] == answer.non_embedding_params


def test_only_what_differs_is_shown() -> None:
    assert not any("trainable" in line or "token" in line for line in summary(hwbench.count("alexnet")))


def test_experts_of_a_graph() -> None:
    experts, chosen, tokens, width, inner = 8, 2, 6, 16, 32
    shapes = ((tokens, width), (tokens, experts), (experts, width, inner), None, (experts, inner, width))
    args = tuple(shape and Tensor(shape, 0) for shape in shapes)
    cost = onnx_cost.experts((2, 4))(Call("MoE", args, {"k": chosen}, (Tensor((tokens, width), 96),)))
    assert cost.idle == 1 - chosen / experts
    assert cost.macs == tokens * chosen * 2 * width * inner


class TestTraced:
    torch = pytest.importorskip("torch")

    def test_frozen_ones(self) -> None:
        nn = self.torch.nn
        network = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4))
        network[0].requires_grad_(False)
        answer = hwbench.count(network, self.torch.empty(2, 8))
        assert (answer.params, answer.trainable_params) == (8 * 16 + 16 + 16 * 4 + 4, 16 * 4 + 4)
        assert any("68 trainable" in line for line in summary(answer))

    def test_a_table_that_also_multiplies_is_an_embedding(self) -> None:
        nn = self.torch.nn

        class Tied(nn.Module):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.table, self.head = nn.Embedding(50, 8), nn.Linear(8, 50, bias=False)
                self.inner, self.head.weight = nn.Linear(8, 8), self.table.weight

            def forward(self, ids: Any) -> Any:
                return self.head(self.inner(self.table(ids)))

        answer = hwbench.count(Tied(), self.torch.empty(2, 5, dtype=self.torch.int64))
        assert (answer.params, answer.non_embedding_params) == (50 * 8 + 72, 72)

    def test_experts_that_are_chosen(self) -> None:
        pytest.importorskip("transformers")
        options = "num_hidden_layers=2&hidden_size=32&intermediate_size=64&vocab_size=100&num_attention_heads=4"
        answer = hwbench.count(f"hf:mixtral?{options}&num_key_value_heads=2&head_dim=8", context=16)
        idle = 2 * (8 - 2) * 3 * 32 * 64  # layers, experts of eight but two, matrices
        assert answer.params - answer.active_params == idle
