"""All tests of a session share one folder of compiled kernels, so that each is compiled once."""

import os
import tempfile

if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = os.path.join(tempfile.gettempdir(), f"hwbench-test-kernels-{os.getuid()}")
