"""Kinds of runtime: which of them a measurement's words mean, and what sets them apart."""

from hwbench.errors import InputError, nearest, shown

RUNTIMES = ("torch-eager-cuda", "torch-compile-cuda", "torch-eager-cpu", "torch-compile-cpu")
"""Those that the time model has parameters for."""
DEFAULT_RUNTIMES = {"gpu": "torch-eager-cuda", "cpu": "torch-eager-cpu"}
"""What is meant where nothing is said, by kind of device."""
_COMPILED = ("compile", "dynamo", "inductor", "tensorrt", "openvino", "onednn", "ncnn", "xla", "onnxruntime", "tvm")
"""Words of runtimes that fuse; every other one runs op by op."""
_OURS = ("torch", "pytorch", "eager", "compile", "dynamo", "inductor")


def runtime_of(text: str | None, kind: str) -> str:
    """The kind of runtime nearest to a measurement's, on a device of a kind: `torch-2.4-eager` on a GPU is eager."""
    if not text:
        return DEFAULT_RUNTIMES[kind]
    if text in RUNTIMES:
        return text
    how = "compile" if any(word in text.lower() for word in _COMPILED) else "eager"
    return f"torch-{how}-{'cuda' if kind == 'gpu' else 'cpu'}"


def is_foreign(text: str | None) -> bool:
    """Whether a measurement's runtime is none of those that parameters stand for."""
    return bool(text) and not set(_OURS).intersection(str(text).lower().replace("_", "-").split("-"))


def checked(runtime: str | None, kind: str) -> str:
    """A runtime of the time model for a kind of device. Raises InputError for any other."""
    if runtime is None:
        return DEFAULT_RUNTIMES[kind]
    if runtime not in RUNTIMES:
        choices = nearest(runtime, RUNTIMES) or RUNTIMES
        raise InputError(f"there is no runtime '{shown(runtime)}'", field="--runtime", nearest=choices)
    if runtime.endswith("cuda") != (kind == "gpu"):
        fitting = [name for name in RUNTIMES if name.endswith("cuda") == (kind == "gpu")]
        raise InputError(f"'{runtime}' does not run on a {kind}", field="--runtime", nearest=fitting)
    return runtime
