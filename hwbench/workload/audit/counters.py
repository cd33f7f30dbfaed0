"""Counters of multiply-adds by other projects, each run on a copy of a module: one small function per counter.

The unit of a counter is found by counting two layers whose multiply-adds are known.
"""

import contextlib
import copy
import importlib
import io
import itertools
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Literal

import torch
from msgspec import Struct

from hwbench.workload.audit.causes import ModuleCounts
from hwbench.workload.tracing.build import Built
from hwbench.workload.tracing.twins import convert_all, tensors

Unit = Literal["mac", "flop"]

MAX_COPY_BYTES = 2**30
"""Bytes of parameters and buffers above which no copy with data is made."""


class Counter(Struct, frozen=True):
    """How to run one counter: on tensors without data unless it `needs_data`.

    Counters that replace torch's functions do: for tensors without data torch runs some functions in Python.
    """

    name: str
    package: str
    says: Unit
    run: Callable[["CountedModule"], ModuleCounts]
    needs_data: bool = False


class CountedModule(torch.nn.Module):  # type: ignore[misc]  # torch is Any
    """A module with its arguments that every counter can call: `inputs` are the tensors among the arguments.

    `anchor` is for counters that fail on a module without parameters.
    """

    def __init__(self, inner: Any, args: Any, kwargs: Any) -> None:
        super().__init__()
        self.inputs = list(tensors((args, kwargs)))
        self.anchor = torch.nn.Parameter(torch.zeros(1, device=self.inputs[0].device if self.inputs else None))
        self.call = (args, kwargs)
        self.inner = inner
        self.watched = ""
        self.watched_counts: dict[str, float] = {}

    def forward(self, *inputs: Any) -> Any:
        """Return the module's output; set `watched_counts` to the attribute `watched` of all its modules."""
        replaced = {id(old): new for old, new in zip(self.inputs, inputs, strict=False)}
        args, kwargs = convert_all(self.call, lambda tensor: replaced.get(id(tensor), tensor), False)
        output = self.inner(*args, **kwargs)
        if self.watched:
            counts = ((name, getattr(module, self.watched, 0)) for name, module in self.inner.named_modules())
            self.watched_counts = {name: float(count) for name, count in counts}
        return output


def state_bytes(module: Any) -> int:
    """Return the bytes of parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in itertools.chain(module.parameters(), module.buffers()))


@cache
def calibrated(counter: Counter) -> Unit | None:
    """Return whether a counter counts multiply-adds or two operations each, by layers without bias; None if neither."""
    linear = Built(torch.nn.Linear(8, 16, bias=False, device="meta"), (torch.empty(1, 8, device="meta"),), {}, 1, "")
    conv = torch.nn.Conv2d(3, 8, 3, bias=False, device="meta")
    window = Built(conv, (torch.empty(1, 3, 6, 6, device="meta"),), {}, 1, "")
    pair = (counted(counter, linear).total / (8 * 16), counted(counter, window).total / (8 * 16 * 27))
    units: dict[tuple[float, float], Unit] = {(1.0, 1.0): "mac", (2.0, 2.0): "flop"}
    return units.get(pair)


def per_sample(counter: Counter, built: Built, unit: Unit | None) -> ModuleCounts:
    """Return a counter's result in MACs of one sample."""
    counts = counted(counter, built)
    scale = built.batch * (2 if unit == "flop" else 1)
    layers = {name: count / scale for name, count in counts.layers.items()}
    return ModuleCounts(counts.total / scale, layers, 0.5 if unit == "flop" else 1.0)


def counted(counter: Counter, built: Built) -> ModuleCounts:
    """Run a counter on a copy, quietly, and undo what it did to torch."""
    with _quiet(), _unpatched():
        module, args, kwargs = copy.deepcopy((built.module, built.args, built.kwargs))
        if counter.needs_data:
            module, args, kwargs = _with_data(module, args, kwargs)
        return counter.run(CountedModule(module.eval(), args, kwargs).eval())


def _with_data(module: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any]:
    """Return the module and its arguments on the CPU, all zeros."""
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
        text = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def _unpatched() -> Iterator[None]:
    """Restore functions of torch that a counter replaced, which one that fails does not do."""
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
    """Return counts of modules without those of their children, by names below `prefix`."""
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


def _flop_counter_mode(run: CountedModule) -> ModuleCounts:
    with importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False) as mode, torch.no_grad():
        run()
    inclusive = {name: float(sum(counts.values())) for name, counts in mode.get_flop_counts().items()}
    return ModuleCounts(float(mode.get_total_flops()), _exclusive(inclusive, "CountedModule.inner"))


def _fvcore(run: CountedModule) -> ModuleCounts:
    analysis = importlib.import_module("fvcore.nn").FlopCountAnalysis(run, tuple(run.inputs))
    return ModuleCounts(float(analysis.total()), _exclusive(analysis.by_module(), "inner"))


def _ptflops(run: CountedModule) -> ModuleCounts:
    run.watched = "__flops__"
    count = importlib.import_module("ptflops").get_model_complexity_info
    options = {"as_strings": False, "print_per_layer_stat": False, "input_constructor": lambda _: {}}
    total = count(run, (1,), **options)[0]
    if total is None:
        raise RuntimeError("it gives up on this module")
    return ModuleCounts(float(total), run.watched_counts)


def _thop(run: CountedModule) -> ModuleCounts:
    run.watched = "total_ops"
    total = importlib.import_module("thop").profile(run, inputs=tuple(run.inputs), verbose=False)[0]
    return ModuleCounts(float(total), run.watched_counts)


def _calflops(run: CountedModule) -> ModuleCounts:
    run.watched = "__macs__"
    count = importlib.import_module("calflops").calculate_flops
    macs = count(run, args=list(run.inputs) or [run.anchor], print_results=False, output_as_string=False)[1]
    return ModuleCounts(float(macs), run.watched_counts)


def _torchinfo(run: CountedModule) -> ModuleCounts:
    options = {"verbose": 0, "cache_forward_pass": False, "col_names": ()}
    summary = importlib.import_module("torchinfo").summary(run, input_data=run.inputs or [run.anchor], **options)
    names = {id(module): name for name, module in run.inner.named_modules()}
    layers: dict[str, float] = {}
    for info in summary.summary_list:
        if info.is_leaf_layer and id(info.module) in names:
            name = names[id(info.module)]
            layers[name] = layers.get(name, 0.0) + info.macs
    return ModuleCounts(float(summary.total_mult_adds), layers)


def _deepspeed(run: CountedModule) -> ModuleCounts:
    run.watched = "__macs__"
    profiler = importlib.import_module("deepspeed.profiling.flops_profiler").FlopsProfiler(run)
    profiler.start_profile()
    try:
        with torch.no_grad():
            run()
        return ModuleCounts(float(profiler.get_total_macs()), run.watched_counts)
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
"""All supported counters, whether installed or not."""
