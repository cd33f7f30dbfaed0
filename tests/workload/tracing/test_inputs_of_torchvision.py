"""torchvision's networks at the inputs of their weights, as its own metadata counts them."""

import pytest

from hwbench.workload.request import ModelRequest

pytest.importorskip("torch")
models = pytest.importorskip("torchvision").models

from hwbench.workload.tracing import sources  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "name", ["r3d_18", "s3d", "swin3d_t", "efficientnet_b3", "regnet_y_400mf", "lraspp_mobilenet_v3_large"]
)
def test_operations_as_torchvision_states_them(name: str) -> None:
    meta = next(iter(models.get_model_weights(name))).meta
    found = sources.workload(ModelRequest(f"torchvision:{name}"))
    assert found.macs / 1e9 == pytest.approx(meta["_ops"], rel=0.01)
    assert found.params == meta["num_params"]


def test_a_network_made_for_one_size_takes_that() -> None:
    assert sources.workload(ModelRequest("torchvision:vit_h_14")).input_shape == (3, 224, 224)
