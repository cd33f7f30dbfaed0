"""The time model of one kind of runtime: the times of a launch, their sum over a network, and what the host adds.

Functions take floats with `scalar` as `xp`, or arrays with numpy.
"""

from collections.abc import Sequence
from types import ModuleType

from msgspec import Struct
from msgspec.structs import replace

from hwbench.predict.model import bounds, gpu
from hwbench.predict.model.hardware import Hardware
from hwbench.predict.model.launch import Launch, Number, launches_of
from hwbench.predict.model.parameters import Runtime, Training
from hwbench.workload.ops import Workload


class LaunchTime(Struct, frozen=True):
    """Seconds of one of `count` launches: compute, memory, what the launch itself adds, what the host spends on it.

    `copies` are those of kernels beside the op's own, which move its tensors once more.
    """

    compute: Number
    memory: Number
    overhead: Number
    host: Number
    count: Number
    copies: Number = 0.0


def launch_times(
    xp: ModuleType, workload: Workload, hardware: Hardware, dtype: str, bits: int, batch: int, runtime: Runtime
) -> list[LaunchTime]:
    """Return the times of every op for a batch, in the workload's order."""
    weights = weight_bytes(workload, bits)
    fitted = hardware.expected or runtime.factors(hardware.label, hardware.architecture)
    hardware = replace(hardware, expected=fitted)
    launches = launches_of(workload, batch, bits)
    dtypes = [
        bounds.compute_dtype(op.dtype or dtype, launch.family, hardware.tf32)
        for op, launch in zip(workload.ops, launches, strict=True)
    ]
    return [launch_time(xp, *pair, hardware, runtime, weights) for pair in zip(launches, dtypes, strict=True)]


def weight_bytes(workload: Workload, bits: int) -> float:
    """Return the bytes of all of a network's weights."""
    return sum((op.weight_elements * bits / 8 + op.fixed_weight_bytes) * op.count for op in workload.ops)


def launch_time(
    xp: ModuleType, launch: Launch, dtype: str, hardware: Hardware, runtime: Runtime, weights: Number
) -> LaunchTime:
    """Return the times of one launch that computes in `dtype`; `weights` are the bytes of all of the network's."""
    fuses, copies = runtime.fuses, 0.0
    fitted = hardware.expected or runtime.factors(hardware.label, hardware.architecture)
    if runtime.gpu is not None:
        compute = gpu.compute_time(xp, launch, hardware, dtype, runtime.gpu)
        memory = gpu.memory_time(xp, launch, hardware, runtime.gpu, weights, fuses)
        copies = gpu.copy_time(xp, launch, hardware, runtime.gpu, fuses)
        kernels = xp.where(launch.fused, 0.0, 1.0) if fuses else 1.0
        overhead = kernels * runtime.gpu.launch
        measured = hardware.op_overhead  # as it is: no factor
        host = kernels * (runtime.gpu.host if measured is None else measured / fitted.overhead)
    else:
        from hwbench.predict.model import cpu  # which forecasts for GPUs do without

        assert runtime.cpu is not None  # a runtime has one of the two
        compute = cpu.compute_time(xp, launch, hardware, dtype, runtime.cpu)
        memory = cpu.memory_time(xp, launch, hardware, runtime.cpu, weights, fuses)
        overhead, host = cpu.overhead(xp, launch, hardware, runtime.cpu, fuses), 0.0
        left = cpu.left(xp, launch, runtime.cpu, fuses)
        compute, memory, overhead = compute * left, memory * left, overhead * left
    time = LaunchTime(compute, memory, overhead, host, launch.count, copies)
    time = scaled(time, (fitted.compute, fitted.memory, fitted.overhead))
    if runtime.training is not None and launch.group:
        time = _trained(time, launch, runtime.training)
    time = time if hardware.factors is None else scaled(time, hardware.factors)
    compute, memory = _least(xp, launch, dtype, hardware, weights, fuses)
    compute, memory = xp.maximum(time.compute, compute), xp.maximum(time.memory, memory)
    return LaunchTime(compute, memory, time.overhead, time.host, time.count, time.copies)


def _trained(time: LaunchTime, launch: Launch, training: Training) -> LaunchTime:
    """Return the time of a launch in a training step."""
    if launch.group not in training.updates:
        return scaled(time, training.of(launch.group))
    step, tensor, byte = training.updates[launch.group]
    memory, overhead = byte * launch.counts.weight_bytes, step + tensor * launch.product.groups
    return replace(time, compute=0.0, memory=memory, overhead=overhead)


def scaled(time: LaunchTime, factors: Sequence[Number]) -> LaunchTime:
    """Return a time with its compute, its memory and its overhead multiplied; the host's part is overhead too."""
    compute, memory, overhead = factors
    return LaunchTime(
        time.compute * compute,
        time.memory * memory,
        time.overhead * overhead,
        time.host * overhead,
        time.count,
        time.copies * memory,
    )


def _least(
    xp: ModuleType, launch: Launch, dtype: str, hardware: Hardware, weights: Number, fuses: bool
) -> tuple[Number, Number]:
    """Return the seconds of compute and of memory below which no kernel gets, at the highest clock of the device."""
    rate = hardware.rates.get(dtype) or hardware.rates["fp32"]
    winograd = hardware.kind == "gpu" and not rate.matrix
    compute = bounds.operations(xp, launch, winograd) / (rate.ceiling * hardware.boost)
    return compute, bounds.traffic(xp, launch, hardware.cache, weights, fuses) / hardware.memory_ceiling


def device_time(xp: ModuleType, time: LaunchTime, runtime: Runtime) -> Number:
    """Return the seconds that one launch keeps the device.

    Compute and memory overlap in part on a GPU and add up on a CPU.
    """
    if runtime.gpu is not None:
        return xp.sqrt(time.compute * time.compute + time.memory * time.memory) + time.copies + time.overhead
    return time.compute + time.memory + time.overhead


def parts(xp: ModuleType, time: LaunchTime, runtime: Runtime) -> tuple[Number, Number]:
    """Return the seconds of `device_time` that compute and memory each account for; the rest is overhead.

    These are the derivatives by each one's logarithm: what the launch takes less where one is so much faster.
    """
    if runtime.gpu is None:
        return time.compute, time.memory
    both = time.compute * time.compute + time.memory * time.memory
    longer = xp.sqrt(xp.where(both > 0.0, both, 1.0))
    return time.compute * time.compute / longer, time.memory * time.memory / longer + time.copies


def weights_of(xp: ModuleType, device: Number, host: Number) -> tuple[Number, Number]:
    """Return what `total_time` grows by for each second more on the device and on the host."""
    total = total_time(xp, device, host)
    total = xp.where(total > 0.0, total, 1.0)
    on_device, on_host = device / total, host / total
    return on_device * on_device * on_device, on_host * on_host * on_host


def total_time(xp: ModuleType, device: Number, host: Number) -> Number:
    """Return the seconds of launches one after another on a device next to a host: close to the longer of the two."""
    device, host = device * device, host * host
    return xp.sqrt(xp.sqrt(device * device + host * host))


def device_and_host_time(xp: ModuleType, times: list[LaunchTime], runtime: Runtime) -> tuple[Number, Number]:
    """Return the seconds that all launches keep the device, and those that they keep the host."""
    device = sum(device_time(xp, time, runtime) * time.count for time in times)
    host = sum(time.host * time.count for time in times)
    return device, host
