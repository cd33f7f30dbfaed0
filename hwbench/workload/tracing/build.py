"""What every source of modules needs: a built module with its arguments, and how modules and inputs are made."""

import importlib
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from msgspec import Struct

from hwbench.errors import InputError, shown
from hwbench.workload.request import ModelRequest, typed_shape
from hwbench.workload.tracing.patches import skip_initializers
from hwbench.workload.tracing.twins import keep_values

TRACED_BATCH = 2
"""Samples of a traced run: with one, torch takes short cuts that larger batches do not."""

_INSTALL = ("torchvision", "timm", "transformers")
_FEW_INTEGERS, _FEW_NUMBERS = 4096, 16
"""Elements of a buffer up to which its values are looked up where a module needs them: statistics have more."""
_MAKERS: WeakKeyDictionary[torch.nn.Module, Callable[[], Any]] = WeakKeyDictionary()
"""What made each module that was built without data."""
_INPUT_DTYPES = {"float32": torch.float32, "int64": torch.int64, "int32": torch.int32, "bool": torch.bool}


class Built(Struct, frozen=True):
    """A module with the arguments of one run, which hold `batch` samples along dimension `batch_dim` of them.

    The dimension is None where it has to be found. `stated` says whether the batch is the user's, or only one to trace
    at. The module may return a `cache` to be kept. `assumes` says that its inputs have values that nobody stated.
    """

    module: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    batch: int
    title: str
    batch_dim: int | None = 0
    stated: bool = False
    cache: bool = False
    assumes: bool = False


def usual_batch(request: ModelRequest) -> int:
    """Return the batch of a model's usual inputs."""
    return request.batch or 1 if request.training else TRACED_BATCH


def stated(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], title: str) -> Built:
    """Return a module with the inputs that the user states, whose batch comes first."""
    return Built(module, args, kwargs, args[0].shape[0], title, stated=True)


def import_package(name: str) -> Any:
    """Return an imported package. Raises InputError with the command that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        remedy = f" Install it with `pip install {package}`." if package in _INSTALL else ""
        text = f"The package '{shown(package)}' cannot be imported ({shown(error)}).{remedy}"
        raise InputError("missing-package", text, field="model") from None
    except Exception as error:  # of a package that was built for another torch
        text = f"The package '{shown(name)}' does not load ({shown(error, 200)}): install one that fits this torch."
        raise InputError("missing-package", text, field="model") from None


def build_module(make: Callable[[], Any], name: str, place: str = "meta") -> Any:
    """Return what `make` returns, its tensors on the torch device `place`. Raises InputError where `make` fails.

    Where it needs values that `meta` lacks it runs again on the CPU: weights take no memory until they are filled.
    """
    try:
        return _run(make, place, False)
    except (InputError, KeyboardInterrupt):
        raise
    except Exception as error:
        failure = error
    try:
        if place == "meta":
            return _run(make, "cpu", True)
    except (InputError, KeyboardInterrupt):
        raise
    except Exception as error:
        failure = error
    reason = " ".join(f"{type(failure).__name__}: {failure}".split())
    raise InputError(
        "not-buildable", f"'{shown(name)}' cannot be built: {shown(reason, 300)}", field="model"
    ) from failure


def _run(make: Callable[[], Any], place: str, uninitialized: bool) -> Any:
    with torch.device(place), skip_initializers(uninitialized):
        result = make()
    if place == "meta" and (module := _module_of(result)) is not None:
        _MAKERS[module] = make
    return result


def _module_of(result: Any) -> torch.nn.Module | None:
    first = result[0] if isinstance(result, tuple) and result else result
    return first if isinstance(first, torch.nn.Module) else None


def give_settings(module: torch.nn.Module) -> bool:
    """Give the small buffers of a module that was built without data, such as strides, the values that they have.

    Return whether there were any. For these it is made once more, on the CPU, with weights that are not filled.
    """
    lacking = [name for name, buffer in module.named_buffers() if buffer.is_meta and _is_setting(buffer)]
    make = _MAKERS.pop(module, None)
    if not lacking or make is None:
        return False
    try:
        other: Any = _module_of(_run(make, "cpu", True))
    except Exception:  # whatever `make` raises on the CPU
        return False
    for name in lacking:
        path, _, last = name.rpartition(".")
        module.get_submodule(path)._buffers[last] = keep_values(other.get_buffer(name).clone())
    return True


def _is_setting(buffer: torch.Tensor) -> bool:
    is_number = buffer.is_floating_point() or buffer.is_complex()
    return bool(buffer.numel() <= (_FEW_NUMBERS if is_number else _FEW_INTEGERS))


def typed_input(text: str) -> torch.Tensor:
    """Return a tensor without data of a shape such as `2x128:int64`. Raises InputError."""
    shape, dtype = typed_shape(text, _INPUT_DTYPES)
    return torch.empty(shape, dtype=_INPUT_DTYPES[dtype or "float32"], device="meta")
