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


def test_a_detector_counts_as_many_images_as_it_is_given() -> None:
    """Which it scales itself, and whose boxes depend on values, so that it runs on random ones."""
    one, two = (
        sources.workload(ModelRequest("torchvision:fasterrcnn_mobilenet_v3_large_320_fpn", batch=batch))
        for batch in (None, 2)
    )
    assert (one.batch, two.batch, one.real) == (1, 2, True)
    assert one.macs == pytest.approx(0.719e9, rel=0.01)  # as torchvision states it
    assert two.macs == 2 * one.macs


def test_a_network_made_for_one_size_takes_that() -> None:
    assert sources.workload(ModelRequest("torchvision:vit_h_14")).input_shape == (3, 224, 224)
