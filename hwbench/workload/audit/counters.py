"""Counters of multiply-adds that others wrote, each run on a copy of a module: one small function a counter.

What a counter calls FLOPs is settled by counting two layers whose multiply-adds are known.
"""

import contextlib
import copy
import importlib
import importlib.metadata
import io
import itertools
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Literal

import torch
from msgspec import Struct

from hwbench.workload.tracing.build import Built
from hwbench.workload.tracing.twins import convert_all, tensors

Unit = Literal["mac", "flop"]

LARGEST_COPY = 2**30
"""Bytes of parameters and buffers above which no copy with data is made."""


class Found(Struct, frozen=True):
    """A counter's total and its counts of modules without their children.

    Of the whole run in the counter's unit, or of a sample in MACs; `each` is then what an operation that is no
    multiply-add counts for.
    """

    total: float
    layers: dict[str, float] = {}
    each: float = 1.0


class Counter(Struct, frozen=True):
    """How one counter is run: on tensors without data unless it `needs_data`.

    Counters that replace torch's functions do: for tensors without data torch runs some of its own in Python.
    """

    name: str
    package: str
    says: Unit
    run: Callable[["CountedModule"], Found]
    needs_data: bool = False


class CountedModule(torch.nn.Module):  # type: ignore[misc]  # torch is Any
    """A module with its arguments, as a module that every counter can call: `given` replaces the tensors among them.

    The parameter beside it is there for counters that fail where there is none.
    """

    def __init__(self, inner: Any, args: Any, kwargs: Any) -> None:
        super().__init__()
        self.given = list(tensors((args, kwargs)))
        self.anchor = torch.nn.Parameter(torch.zeros(1, device=self.given[0].device if self.given else None))
        self.call = (args, kwargs)
        self.inner = inner
        self.watched = ""
        self.seen: dict[str, float] = {}

    def forward(self, *given: Any) -> Any:
        """The module's output; afterwards `seen` holds the attribute `watched` of all its modules."""
        replaced = {id(old): new for old, new in zip(self.given, given, strict=False)}
        args, kwargs = convert_all(self.call, lambda tensor: replaced.get(id(tensor), tensor), False)
        output = self.inner(*args, **kwargs)
        if self.watched:
            counts = ((name, getattr(module, self.watched, 0)) for name, module in self.inner.named_modules())
            self.seen = {name: float(count) for name, count in counts}
        return output


def version(counter: Counter) -> str | None:
    """The version that is installed, or None."""
    try:
        return importlib.metadata.version(counter.package)
    except importlib.metadata.PackageNotFoundError:
        return None


def state_bytes(module: Any) -> int:
    """Bytes of parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in itertools.chain(module.parameters(), module.buffers()))


@cache
def calibrated(counter: Counter) -> Unit | None:
    """Whether a counter counts multiply-adds or two operations each, by layers without bias; None if neither."""
    linear = Built(torch.nn.Linear(8, 16, bias=False, device="meta"), (torch.empty(1, 8, device="meta"),), {}, 1, "")
    conv = torch.nn.Conv2d(3, 8, 3, bias=False, device="meta")
    window = Built(conv, (torch.empty(1, 3, 6, 6, device="meta"),), {}, 1, "")
    pair = (counted(counter, linear).total / (8 * 16), counted(counter, window).total / (8 * 16 * 27))
    units: dict[tuple[float, float], Unit] = {(1.0, 1.0): "mac", (2.0, 2.0): "flop"}
    return units.get(pair)


def per_sample(counter: Counter, built: Built, unit: Unit | None) -> Found:
    """A counter's result in MACs of one sample."""
    found = counted(counter, built)
    scale = built.batch * (2 if unit == "flop" else 1)
    layers = {name: count / scale for name, count in found.layers.items()}
    return Found(found.total / scale, layers, 0.5 if unit == "flop" else 1.0)


def counted(counter: Counter, built: Built) -> Found:
    """Run a counter on a copy, quietly, and undo what it did to torch."""
    with _quiet(), _unpatched():
        module, args, kwargs = copy.deepcopy((built.module, built.args, built.kwargs))
        if counter.needs_data:
            module, args, kwargs = _with_data(module, args, kwargs)
        return counter.run(CountedModule(module.eval(), args, kwargs).eval())


def _with_data(module: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any]:
    """The module and its arguments on the CPU, all zeros."""
    module = module.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in itertools.chain(module.parameters(), module.buffers()):
            tensor.zero_()
        for owner in module.modules():
            for name, value in vars(owner).items():
                if isinstance(value, torch.Tensor):
                    owner.__dict__[name] = torch.zeros_like(value, device="cpu")
    return (module, *convert_all((args, kwargs), lambda tensor: torch.zeros_like(tensor, device="cpu"), False))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            with contextlib.redirect_stderr(io.StringIO()):
                yield
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def _unpatched() -> Iterator[None]:
    """Put back functions of torch that a counter replaced; one that fails leaves its own behind."""
    owners = (torch, torch.nn.functional, torch.Tensor)
    before = [dict(vars(owner)) for owner in owners]
    try:
        yield
    finally:
        for owner, old in zip(owners, before, strict=True):
            for name, value in dict(vars(owner)).items():
                if name in old and old[name] is not value:
                    setattr(owner, name, old[name])
                elif name not in old and owner is torch.Tensor:
                    delattr(owner, name)


def _exclusive(inclusive: Mapping[str, float], prefix: str) -> dict[str, float]:
    """Counts of modules less those of their children, by names below `prefix`."""
    counts = {k[len(prefix) :].lstrip("."): v for k, v in inclusive.items() if k.startswith(prefix) and v}
    own = dict(counts)
    for name, count in counts.items():
        parent = name
        while parent:
            parent = parent.rpartition(".")[0]
            if parent in own:
                own[parent] -= count
                break
    return own


def _flop_counter_mode(run: CountedModule) -> Found:
    with importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False) as mode, torch.no_grad():
        run()
    inclusive = {name: float(sum(counts.values())) for name, counts in mode.get_flop_counts().items()}
    return Found(float(mode.get_total_flops()), _exclusive(inclusive, "CountedModule.inner"))


def _fvcore(run: CountedModule) -> Found:
    analysis = importlib.import_module("fvcore.nn").FlopCountAnalysis(run, tuple(run.given))
    return Found(float(analysis.total()), _exclusive(analysis.by_module(), "inner"))


def _ptflops(run: CountedModule) -> Found:
    run.watched = "__flops__"
    count = importlib.import_module("ptflops").get_model_complexity_info
    options = {"as_strings": False, "print_per_layer_stat": False, "input_constructor": lambda _: {}}
    total = count(run, (1,), **options)[0]
    if total is None:
        raise RuntimeError("it gives up on this module")
    return Found(float(total), run.seen)


def _thop(run: CountedModule) -> Found:
    run.watched = "total_ops"
    total = importlib.import_module("thop").profile(run, inputs=tuple(run.given), verbose=False)[0]
    return Found(float(total), run.seen)


def _calflops(run: CountedModule) -> Found:
    run.watched = "__macs__"
    count = importlib.import_module("calflops").calculate_flops
    macs = count(run, args=list(run.given) or [run.anchor], print_results=False, output_as_string=False)[1]
    return Found(float(macs), run.seen)


def _torchinfo(run: CountedModule) -> Found:
    options = {"verbose": 0, "cache_forward_pass": False, "col_names": ()}
    summary = importlib.import_module("torchinfo").summary(run, input_data=run.given or [run.anchor], **options)
    names = {id(module): name for name, module in run.inner.named_modules()}
    layers: dict[str, float] = {}
    for info in summary.summary_list:
        if info.is_leaf_layer and id(info.module) in names:
            name = names[id(info.module)]
            layers[name] = layers.get(name, 0.0) + info.macs
    return Found(float(summary.total_mult_adds), layers)


def _deepspeed(run: CountedModule) -> Found:
    run.watched = "__macs__"
    profiler = importlib.import_module("deepspeed.profiling.flops_profiler").FlopsProfiler(run)
    profiler.start_profile()
    try:
        with torch.no_grad():
            run()
        return Found(float(profiler.get_total_macs()), run.seen)
    finally:
        profiler.end_profile()


COUNTERS: tuple[Counter, ...] = (
    Counter("FlopCounterMode on CPU", "torch", "flop", _flop_counter_mode, needs_data=True),
    Counter("FlopCounterMode on meta", "torch", "flop", _flop_counter_mode),
    Counter("fvcore", "fvcore", "flop", _fvcore, needs_data=True),
    Counter("ptflops", "ptflops", "mac", _ptflops, needs_data=True),
    Counter("thop", "thop", "mac", _thop),
    Counter("calflops", "calflops", "mac", _calflops, needs_data=True),
    Counter("torchinfo", "torchinfo", "mac", _torchinfo),
    Counter("DeepSpeed", "deepspeed", "mac", _deepspeed, needs_data=True),
)
"""Every counter that is known, whether installed or not."""
