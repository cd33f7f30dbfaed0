"""Closed-form counts of the layers without multiply-adds: normalization, activations, sums, copies.

Elementwise operations count one for each add, multiply, compare or transcendental function of an element.
"""

from math import prod
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from hwbench.workload.ops import Op, Shape
from hwbench.workload.shapes import Positive, image, wrong_shape


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
    channels = shape[0]
    op = _elementwise("batch_norm", shape, 2)
    return _with_weights(op, params=2 * channels, weights=4 * channels)


def layer_norm(shape: Shape) -> Op:
    """Count a layer normalization over the last dimension: mean (1), variance (3), scale (1), affine (2) an element."""
    width = shape[-1]
    return _with_weights(_elementwise("layer_norm", shape, 7, depth=width), params=2 * width, weights=2 * width)


def _with_weights(op: Op, params: int, weights: int) -> Op:
    return replace(op, params=params, weight_elements=weights)


def _elementwise(kind: str, shape: Shape, per_element: int, inputs: int = 1, depth: int = 0) -> Op:
    elements = prod(shape)
    return Op(
        kind=kind,
        output_shape=shape,
        elementwise_flops=per_element * elements,
        input_elements=inputs * elements,
        output_elements=elements,
        depth=depth,
    )


def softmax(shape: Shape) -> Op:
    """Count a softmax over the last dimension: maximum, subtract, exponential, sum, divide."""
    return _elementwise("softmax", shape, 5, depth=shape[-1])


def relu(shape: Shape) -> Op:
    """Count one comparison an element."""
    return _elementwise("relu", shape, 1)


def relu6(shape: Shape) -> Op:
    """Count two comparisons an element."""
    return _elementwise("relu6", shape, 2)


def sigmoid(shape: Shape) -> Op:
    """Count negate, exponential, add, divide."""
    return _elementwise("sigmoid", shape, 4)


def tanh(shape: Shape) -> Op:
    """Count one transcendental function an element."""
    return _elementwise("tanh", shape, 1)


def gelu(shape: Shape) -> Op:
    """Count x / 2 · (1 + erf(x / √2)): two scalings, erf, add, multiply (Hendrycks and Gimpel, arXiv:1606.08415)."""
    return _elementwise("gelu", shape, 5)


def silu(shape: Shape) -> Op:
    """Count a multiplication by the sigmoid."""
    return _elementwise("silu", shape, 5)


def scale(shape: Shape) -> Op:
    """Count a learned scale and shift of each channel (LeNet-5's subsampling coefficients)."""
    channels = shape[0]
    return _with_weights(_elementwise("scale", shape, 2), params=2 * channels, weights=2 * channels)


def add(shape: Shape, *, inputs: Annotated[int, Meta(ge=2, le=1000)] = 2) -> Op:
    """Count a sum of equal shapes, as at the end of a residual block."""
    return _elementwise("add", shape, inputs - 1, inputs)


def copy(shape: Shape) -> Op:
    """Count a copy, such as a concatenation: no arithmetic, everything read and written once."""
    return _elementwise("copy", shape, 0)


def class_token(shape: Shape) -> Op:
    """Count the copy of a sequence `(tokens, width)` behind a learned vector."""
    if len(shape) != 2:
        raise wrong_shape("tokens × width", shape)
    tokens, width = shape
    return Op(
        kind="class_token",
        output_shape=(tokens + 1, width),
        params=width,
        input_elements=tokens * width,
        weight_elements=width,
        output_elements=(tokens + 1) * width,
    )


def position_embedding(shape: Shape) -> Op:
    """Count the addition of a learned value to each element of a sequence (Dosovitskiy et al., arXiv:2010.11929)."""
    elements = prod(shape)
    return _with_weights(_elementwise("position_embedding", shape, 1), params=elements, weights=elements)
