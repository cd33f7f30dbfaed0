"""Costs of further operators by the shapes of their tensors: distances, decompositions, regions, losses, transforms.

Pure, as `cost.py`, which has products, convolutions, attention and what goes over each element.
"""

from collections.abc import Callable
from math import log2, prod

from hwbench.workload.formulas.cost import Call, Cost, Tensor


def distances(call: Call) -> Cost:
    """Count the distances of all pairs of points: by a product where torch chooses one, else element by element."""
    a, b = call.args[:2]
    pairs, width = call.written, a.shape[-1]
    mode = call.get(3, "compute_mode") or 0
    large = max(a.shape[-2], b.shape[-2]) > 25
    if call.name == "aten._euclidean_dist" or (call.get(2, "p") == 2 and (mode == 1 or (mode == 0 and large))):
        squares = 2 * (a.elements + b.elements)
        flops, columns = squares + 3 * pairs, b.shape[-2]
        return Cost("batched_matmul", pairs * width, elementwise_flops=flops, columns=columns, depth=width)
    return Cost("reduction", elementwise_flops=3 * pairs * width)


def own_distances(call: Call) -> Cost:
    """Count the distances of all pairs in one set of points: subtract, raise to a power, add."""
    return Cost("reduction", elementwise_flops=3 * call.written * call.args[0].shape[-1])


def affine_grid(call: Call) -> Cost:
    """Count the product of each position in a grid, with a one appended, and a matrix a sample."""
    depth = call.args[0].shape[-1]
    return Cost("batched_matmul", call.written * depth, columns=depth - 1, depth=depth)


def decomposition(each: float) -> Callable[[Call], Cost]:
    """Return the cost function of a decomposition of matrices m×n: `each` operations times m·n·min(m, n)."""
    return lambda call: Cost("decomposition", elementwise_flops=_cubic(each, call.args[0]))


def _cubic(each: float, matrix: Tensor) -> int:
    return round(each * matrix.elements * min(matrix.shape[-2:], default=1))


def solve(matrix: int, right: int, each: float = 1, decompose: float = 0) -> Callable[[Call], Cost]:
    """Return the cost function of solving for the columns of argument `right` by n×n matrices of argument `matrix`."""

    def count(call: Call) -> Cost:
        square, columns = call.args[matrix], call.args[right]
        flops = each * columns.elements * square.shape[-1] + _cubic(decompose, square)
        return Cost("decomposition", elementwise_flops=round(flops))

    return count


def conv_tbc(call: Call) -> Cost:
    """Count a convolution over time first, whose kernel is `(window, inputs, outputs)`."""
    window, inputs, columns = call.args[1].shape
    depth = window * inputs
    return Cost("conv", call.written * depth, call.written, columns=columns, depth=depth, window=window)


def deform_conv(bias: int) -> Callable[[Call], Cost]:
    """Return the cost function of a convolution of samples between pixels, each interpolated (9) and masked (1)."""

    def count(call: Call) -> Cost:
        kernel = call.args[1]
        samples = _deformed_samples(call.args[0], call.outputs[0].shape, kernel)
        return Cost("conv", call.written * prod(kernel.shape[1:]), call.bias_adds(bias), 10 * samples)

    return count


def deform_conv_backward(call: Call) -> Cost:
    """Count the gradients of the samples and of the kernel, and those of pixels, offsets and mask by interpolation."""
    gradient, image, kernel = call.args[:3]
    samples = _deformed_samples(image, gradient.shape, kernel)
    return Cost("conv_backward", 2 * gradient.elements * prod(kernel.shape[1:]), elementwise_flops=30 * samples)


def _deformed_samples(image: Tensor, output: tuple[int, ...], kernel: Tensor) -> int:
    return image.shape[0] * image.shape[1] * prod(output[2:]) * prod(kernel.shape[2:])


def roi_align(call: Call) -> Cost:
    """Count `sampling_ratio`² samples per output (1 if adaptive), each interpolated from four pixels and added."""
    samples = max(int(call.get(5, "sampling_ratio", 0)), 1) ** 2
    return Cost("roi_align", elementwise_flops=10 * samples * call.written)


def per_pair(each: int) -> Callable[[Call], Cost]:
    """Return the cost function of `each` operations for each pair of points whose gradient is the first argument."""
    return lambda call: Cost("elementwise", elementwise_flops=each * call.args[0].elements * call.args[1].shape[-1])


def picked_loss(call: Call) -> Cost:
    """Count a loss that reads one element for each target."""
    targets = call.args[1].elements
    return Cost("reduction", elementwise_flops=2 * targets, reads=targets)


def margins(call: Call) -> Cost:
    """Count a loss of every class and every target of a sample, four operations a pair."""
    scores = call.args[0] if call.args[0].shape else call.args[1]
    return Cost("reduction", elementwise_flops=4 * scores.elements * prod(scores.shape[-1:]))


def ctc(call: Call) -> Cost:
    """Count seven operations for each step and each of the labels of a sequence and the blanks around them."""
    backward = "backward" in call.name
    steps, batch, _ = call.args[backward].shape
    targets = call.args[1 + backward]
    labels = targets.shape[-1] if len(targets.shape) == 2 else -(-targets.elements // batch)
    return Cost("reduction", elementwise_flops=7 * steps * batch * (2 * labels + 1))


def sort(call: Call) -> Cost:
    """Count n log2 n comparisons along the longest dimension."""
    x = call.args[0]
    return Cost("sort", elementwise_flops=round(x.elements * max(1.0, log2(max(1, *x.shape)))))


def fft(call: Call) -> Cost:
    """Count 5 n log2 n operations for a complex transform of n points, half of them for a real one."""
    x = call.args[0]
    dimensions = call.get(1, "dim", ())
    real = call.name != "aten._fft_c2c"
    largest = call.outputs[0].shape if call.name == "aten._fft_c2r" else x.shape
    points = prod(largest[d] for d in dimensions)
    flops = (2.5 if real else 5) * prod(largest) * log2(points) if points > 1 else 0
    return Cost("fft", elementwise_flops=round(flops))


def fused_update(each: int, **more: int) -> Callable[[Call], Cost]:
    """Return the cost function of an optimizer's kernel: operations an element, and more for options that are set."""

    def count(call: Call) -> Cost:
        flops = each + sum(flops for option, flops in more.items() if call.kwargs.get(option))
        return Cost("elementwise", elementwise_flops=flops * sum(tensor.elements for tensor in call.args[0]))

    return count
