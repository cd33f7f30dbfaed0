"""What a meter costs a loop: steps of about 5 ms with and without one, in turns. Print µs a step and their share."""

import contextlib
import statistics
import time
from typing import Any

import torch

from hwbench import meter

ROUNDS, STEPS = 40, 20


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    module = torch.nn.Sequential(*(torch.nn.Linear(512, 512) for _ in range(8)))
    batch = torch.randn(32, 512)
    with meter(module) as used:

        def stretch(metered: bool) -> float:
            start = time.process_time()
            for _ in range(STEPS):
                step: Any = used.step(samples=32) if metered else contextlib.nullcontext()
                with step:
                    module(batch).sum().backward()
            return (time.process_time() - start) / STEPS

        stretch(metered=True)
        pairs = [(stretch(metered=False), stretch(metered=True)) for _ in range(ROUNDS)]
        own = [used.step(samples=32) for _ in range(1000)]
        start = time.process_time()
        for step in own:
            with step:
                step.see((batch,), {})
        alone = (time.process_time() - start) / len(own)
    plain = statistics.median(first for first, _ in pairs)
    more = statistics.median(second / first for first, second in pairs)
    print(f"step without a meter    {plain * 1e3:.2f} ms")
    print(f"with one                {more:.4f} of it (median of {ROUNDS} pairs, CPU time)")
    print(f"the meter's own work    {alone * 1e6:.1f} µs a step, {100 * alone / plain:.2f} %")


if __name__ == "__main__":
    main()
