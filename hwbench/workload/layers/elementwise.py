"""Closed-form counts of the layers without multiply-adds: normalization, activations, sums, copies.

Elementwise operations count one for each add, multiply, compare or transcendental function of an element.
"""

from collections.abc import Callable
from math import prod
from typing import Annotated, Any

from msgspec import Meta

from hwbench.workload.ops import Op, Shape
from hwbench.workload.shapes import Positive, image, wrong_shape


def layer(kind: str, shape: Shape, output_shape: Shape, params: int = 0, **fields: Any) -> Op:
    """Return the op that reads its input and all its parameters once, and writes its output, but for `fields`."""
    elements = {"input_elements": prod(shape), "weight_elements": params, "output_elements": prod(output_shape)}
    return Op(kind, output_shape, params, **(elements | fields))


def _elementwise(kind: str, shape: Shape, per_element: int, params: int = 0, **fields: Any) -> Op:
    return layer(kind, shape, shape, params, elementwise_flops=per_element * prod(shape), **fields)


def local_response_norm(shape: Shape, *, size: Positive = 5) -> Op:
    """Count a normalization over neighboring channels (Krizhevsky et al. 2012, section 3.3).

    Per element: a square, size - 1 additions, scale, add, power, divide.
    """
    image(shape)
    return _elementwise("local_response_norm", shape, size + 4)


def batch_norm(shape: Shape) -> Op:
    """Count batch normalization at inference: one multiply-add by constants of the channel.

    It reads four vectors (mean, variance, scale, shift), of which scale and shift are parameters.
    """
    return _elementwise("batch_norm", shape, 2, params=2 * shape[0], weight_elements=4 * shape[0])


def layer_norm(shape: Shape) -> Op:
    """Count a layer normalization over the last dimension: mean (1), variance (3), scale (1), affine (2) an element."""
    return _elementwise("layer_norm", shape, 7, params=2 * shape[-1], depth=shape[-1])


def softmax(shape: Shape) -> Op:
    """Count a softmax over the last dimension: maximum, subtract, exponential, sum, divide."""
    return _elementwise("softmax", shape, 5, depth=shape[-1])


def _map(kind: str, per_element: int) -> Callable[[Shape], Op]:
    """Return the layer kind that maps each element on its own."""

    def count(shape: Shape) -> Op:
        return _elementwise(kind, shape, per_element)

    count.__name__ = kind
    return count


relu = _map("relu", 1)  # a comparison
relu6 = _map("relu6", 2)  # two comparisons
sigmoid = _map("sigmoid", 4)  # negate, exponential, add, divide
tanh = _map("tanh", 1)  # a transcendental function
gelu = _map("gelu", 5)  # x / 2 · (1 + erf(x / √2)), two scalings (Hendrycks and Gimpel, arXiv:1606.08415)
silu = _map("silu", 5)  # a multiplication by the sigmoid
copy = _map("copy", 0)  # such as a concatenation: everything read and written once


def scale(shape: Shape) -> Op:
    """Count a learned scale and shift of each channel (LeNet-5's subsampling coefficients)."""
    return _elementwise("scale", shape, 2, params=2 * shape[0])


def add(shape: Shape, *, inputs: Annotated[int, Meta(ge=2, le=1000)] = 2) -> Op:
    """Count a sum of equal shapes, as at the end of a residual block."""
    return _elementwise("add", shape, inputs - 1, input_elements=inputs * prod(shape))


def class_token(shape: Shape) -> Op:
    """Count the copy of a sequence `(tokens, width)` behind a learned vector."""
    if len(shape) != 2:
        raise wrong_shape("tokens × width", shape)
    return layer("class_token", shape, (shape[0] + 1, shape[1]), params=shape[1])


def position_embedding(shape: Shape) -> Op:
    """Count the addition of a learned value to each element of a sequence (Dosovitskiy et al., arXiv:2010.11929)."""
    return _elementwise("position_embedding", shape, 1, params=prod(shape))
