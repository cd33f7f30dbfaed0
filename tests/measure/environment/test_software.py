"""Versions of packages, and the BLAS libraries that are loaded."""

import pytest

from hwbench.measure.environment import software


def test_versions_are_found_without_importing() -> None:
    import subprocess
    import sys

    code = "import sys; from hwbench.measure.environment import software; print(software.versions());"
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'numba'" in done.stdout
    assert done.stdout.rstrip().endswith("False")


def test_the_blas_of_numpy_names_its_kernel() -> None:
    import numpy as np

    assert np.ones((2, 2)).sum() == 4
    found = software.blas()
    assert found
    if software.openblas_kernel():
        assert found.endswith(f"({software.openblas_kernel()})")


def test_the_blas_is_told_its_threads() -> None:
    import numpy as np

    if not software.blas_threads(1):
        pytest.skip("numpy's BLAS is not OpenBLAS")
    assert np.allclose(np.ones((64, 64)) @ np.ones((64, 64)), 64)
    assert software.blas_threads(2)
