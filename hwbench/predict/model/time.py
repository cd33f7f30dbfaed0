"""The time model of one kind of runtime: parts of a launch, one launch, and a whole run, for numbers or arrays."""

from typing import Any

from msgspec import Struct

from hwbench.predict.model import cpu, gpu
from hwbench.predict.model.hardware import Hardware
from hwbench.predict.model.launch import CONVOLUTIONS, Launch, launch
from hwbench.predict.model.parameters import Runtime
from hwbench.predict.model.scalar import Numbers
from hwbench.workload.ops import Workload


class LaunchTime(Struct):
    """Seconds of one launch of an op: compute, memory, what its launch adds, what the host spends on it."""

    compute: Any
    memory: Any
    overhead: Any
    host: Any
    count: Any


def launches(
    n: Numbers, workload: Workload, m: Hardware, dtype: str, bits: int, samples: Any, runtime: Runtime
) -> list[LaunchTime]:
    """The parts of every op's time for `samples` samples, in the workload's order."""
    weights = sum((op.weight_elements * bits / 8 + op.fixed_weight_bytes) * op.count for op in workload.ops)
    found = []
    for op in workload.ops:
        k = launch(op, samples, bits)
        found.append(launch_time(n, k, m, engine(op.dtype or dtype, k.family, m), runtime, weights))
    return found


def launch_time(n: Numbers, k: Launch, m: Hardware, dtype: str, runtime: Runtime, weights: Any) -> LaunchTime:
    """The parts of one kernel's time; `weights` are the bytes of all of the network's."""
    fused = runtime.fuses
    if runtime.gpu is not None:
        compute, memory = gpu.times(n, k, m, dtype, runtime.gpu, weights, fused)
        own = n.choose(k.fused, 0.0, 1.0) if fused else 1.0
        host = runtime.gpu.host if m.op_overhead is None else m.op_overhead
        return LaunchTime(compute, memory, own * runtime.gpu.launch, own * host, k.count)
    assert runtime.cpu is not None  # a runtime has one of the two
    compute, memory = cpu.times(n, k, m, dtype, runtime.cpu, weights, fused)
    own = cpu.overhead(n, k, m, runtime.cpu, fused)
    if m.factors is not None:
        compute, memory, own = compute * m.factors[0], memory * m.factors[1], own * m.factors[2]
    return LaunchTime(compute, memory, own, 0.0, k.count)


def engine(dtype: str, family: str, m: Hardware) -> str:
    """The dtype that an op computes in: its own, but tf32 for convolutions in fp32 where a GPU has it, as in torch."""
    tf32 = m.rates.get("tf32") if m.kind == "gpu" and dtype == "fp32" and family in CONVOLUTIONS else None
    return "tf32" if tf32 is not None and tf32.matrix else dtype


def seconds(n: Numbers, part: LaunchTime, runtime: Runtime) -> Any:
    """One launch of an op: compute and memory overlap in part on a GPU and add up on a CPU."""
    if runtime.gpu is not None:
        return n.root(part.compute * part.compute + part.memory * part.memory) + part.overhead
    return part.compute + part.memory + part.overhead


def combine(n: Numbers, device: Any, host: Any) -> Any:
    """Launches one after the other (s), beside a host (s) that may be slower: close to the longer of the two."""
    device, host = device * device, host * host
    return n.root(n.root(device * device + host * host))


def run(n: Numbers, parts: list[LaunchTime], runtime: Runtime) -> tuple[Any, Any]:
    """Seconds that all launches keep the device and the host."""
    device = sum(seconds(n, part, runtime) * part.count for part in parts)
    host = sum(part.host * part.count for part in parts)
    return device, host
