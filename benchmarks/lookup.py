"""Time one look-up of a device among 1, 100 and 10,000: does it grow with the catalog?

Run by `make bench`. Prints times and their ratio to the smallest catalog's, measured interleaved in one run.
"""

import os
import random
import shutil
import statistics
import tempfile
import time

from hwbench.files import places
from hwbench.machine import catalog

SIZES = (1, 100, 10_000)
ROUNDS = 30


def main() -> None:
    """Print the table."""
    source = os.path.join(places.shipped(), "devices", "rtx3090.yaml")
    with tempfile.TemporaryDirectory() as top:
        homes = {size: os.path.join(top, str(size)) for size in SIZES}
        for size, home in homes.items():
            os.makedirs(os.path.join(home, "devices"))
            for index in range(size):
                shutil.copy(source, os.path.join(home, "devices", f"card-{index}.yaml"))
        samples: dict[tuple[int, str], list[float]] = {}
        for _ in range(ROUNDS):
            for size in random.sample(SIZES, len(SIZES)):
                os.environ["HWBENCH_CONFIGS"] = homes[size]
                for what, name in (("file name", f"card-{size - 1}"), ("shipped alias", "GeForce RTX 3090")):
                    start = time.perf_counter()
                    catalog.device(name)
                    samples.setdefault((size, what), []).append(time.perf_counter() - start)
    print(f"{'files in the folder':20}{'by':16}{'one look-up':>14}{'ratio':>8}")
    for (size, what), times in sorted(samples.items(), key=lambda item: (item[0][1], item[0][0])):
        median, base = statistics.median(times), statistics.median(samples[SIZES[0], what])
        print(f"{size:<20,}{what:16}{median * 1e3:>11.2f} ms{median / base:>8.2f}")


if __name__ == "__main__":
    main()
