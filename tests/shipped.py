"""The shipped catalog, read once for all tests."""

from hwbench.machine import catalog
from hwbench.workload import load

DEVICES = catalog.devices()
MODELS = load.workloads()
