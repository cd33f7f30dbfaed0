"""The sentences of notices, written here alone for the command line, JSON and Python alike."""

from collections.abc import Callable, Sequence
from typing import Any

from hwbench.units import Bytes, FlopsPerSecond, Hertz, si


def sentence(code: str, data: dict[str, Any]) -> str:
    """Return the sentence of a code with the values of its data."""
    text = TEXTS[code]
    if not isinstance(text, str):
        return text(**data)
    return text.format(**{name: _readable(name, value) for name, value in data.items()})


def _readable(name: str, value: Any) -> Any:
    """Return a value of a template: lists joined, shares and quantities with their unit, by the end of their name."""
    if isinstance(value, (list, tuple)):
        return few(list(map(str, value)))
    if name in ("share", "utilization"):
        return f"{100 * value:.0f} %"
    quantity = next((kind for end, kind in _QUANTITIES.items() if name.endswith(end)), None)
    return quantity(value) if quantity else value


def few(names: Sequence[str], most: int = 12) -> str:
    """Return names joined, or the first ones and how many more there are."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most // 2])} and {len(names) - most // 2} more"


_QUANTITIES = {"_hz": Hertz, "_bytes": Bytes, "_flops_per_second": FlopsPerSecond}
_NO_BOUND = "and peaks computed from it are not upper bounds."
_MEASURE_CLOCK = "`hwbench bench clock` measures it."


def _of_class(core_class: str) -> str:
    return f" of the {core_class}s" if core_class else ""


def _value(value: Any) -> str:
    return "unknown" if value is None else str(value)[:60]


_ROWS = {
    "row-boost-below-base": "with a boost clock below the base clock, which is not used",
    "row-boost-for-base": "with the catalog's boost clock as base clock, which is replaced by the base clock",
    "row-clock-implausible": "left out: a clock a hundred times off the suite's median, perhaps in another unit",
    "row-clock-impossible": "left out: a clock that no processor has",
    "row-clock-invalid": "left out: a clock that is not a positive number",
    "row-clock-read-as-hz": "with a clock that is impossible in its unit and was read as Hz",
    "row-clock-read-as-mhz": "with a clock that is impossible in its unit and was read as MHz",
    "row-cores-invalid": "with an invalid number of cores, taken as unknown",
    "row-repeated": "left out: the same as an earlier row",
    "row-score-invalid": "left out: a score that is not a positive number",
    "row-too-long": "left out: more values than the header has columns",
    "row-without-base-clock": "left out: no base clock",
    "row-without-clock": "left out: no clock",
    "row-without-score": "left out: no score",
    "row-without-suite": "left out: no suite",
    "row-year-invalid": "with an invalid year, taken as unknown",
}
"""What rows of a table of scores have in common."""


def _rows(what: str) -> Callable[..., str]:
    return lambda rows, names: f"{rows} {'row' if rows == 1 else 'rows'} {what} ({', '.join(names)})."


def _above_stated_peak(name: str, share: float, stated_hz: float | None, measured_hz: float | None, count: int) -> str:
    clock = f"the stated clock{f', {Hertz(stated_hz)}' if stated_hz else ''}"
    head = f"{name} reaches {100 * share:.0f} % of its peak at {clock}"
    if count > 1:
        head = f"{count} values are above the peak at {clock} ({name} reaches {100 * share:.0f} %)"
    if measured_hz is None:
        return f"{head}: the real clock is probably higher; `hwbench bench clock` measures it."
    return f"{head}: under this load the real clock is {Hertz(measured_hz)}."


def _above_measured_peak(name: str, share: float, why: str) -> str:
    reason = {
        "rates": "its cores do more each cycle than their architecture's file says, or the clock has risen since.",
        "assumed-rates": "the FLOP per cycle are assumed from the CPU's flags, and this CPU has more.",
        "few-samples": "too few undisturbed samples to say why.",
    }
    return f"{name} reaches {100 * share:.0f} % of the peak at the measured clock: {reason[why]}"


_DOUBTS = {
    "interrupted": "were interrupted",
    "disturbed": "other work disturbed",
    "poor": "have few samples or such that differ much (grade D)",
}
"""Why a measurement counts only where there is no other."""


_LEFT_OUT = {
    "failed": "ended by an exception",
    "nested": "begun within another step, which counts alone",
    "not-called": "without a call of the metered module (meter what the loop calls: the compiled or wrapped module)",
    "other-thread": "of another thread than the first",
    "skipped": "skipped, or left by `break`",
    "slow": "of more than twice the time of others like it (compiling, saving, or interrupted)",
    "uncounted": "of other shapes than those counted (give `samples` and `tokens`, and pad to few lengths)",
}
"""Why steps of a loop do not count."""


TEXTS: dict[str, str | Callable[..., str]] = {
    "recorded": "{text}",  # saved by a version that wrote sentences only
    # workload
    "assumed-value": lambda operator, module, answer: (
        f"The trace has no data: `{operator}` of values in {module or 'the module'} was assumed to be {answer}."
    ),
    "attention-in-full": lambda flops, of: (
        f"Attention counts every pair of a query and a key; {si(flops, 'FLOP')}, {100 * (1 - flops / of):.2g} % less, "
        "without those that a causal flag or a window leaves out (attention: computed)."
    ),
    "attention-as-computed": lambda flops: (
        "Attention counts without pairs that a causal flag or a window leaves out, "
        f"{si(flops, 'FLOP')} with them (attention: full)."
    ),
    "attention-masks": "{ops} operators of attention have a mask whose values are not known: they count in full.",
    "tree-of-folded": (
        "The names of {ops} operators are not stored: each is placed in the module of the first that is alike. "
        "A trace has them all."
    ),
    "traced-without-data": "The trace has no data: {text}.",
    "real-values": "The model needs values, so it ran on random ones: with others it may take another path.",
    "batch-unknown": (
        "Which dimension of the inputs is the batch is not known: the inputs are counted as they are given, as one run."
    ),
    # a loop of somebody's own
    "steps-left-out": lambda steps, reason: (
        f"{steps} {'step is' if steps == 1 else 'steps are'} left out: {_LEFT_OUT[reason]}."
    ),
    "few-steps": "Only {steps} steps are timed: the rates have no interval.",
    "mixed-dtypes": "{share} of the operations are computed in {dtype}, whose peak counts; the others in other dtypes.",
    "operators-uncounted": "Operators without a formula are not counted: {names}.",
    # machine
    "file-left-out": "A file is left out: {error}",
    "host-file": "`host` means this machine. The file {file} is not used: give its path, or rename it.",
    "peaks-assumed": "Peaks marked `assumed` rest on assumed values: {fields}.",
    "card-boosts": (
        "Consumer cards run above the boost clock of their data sheet unless power limits them: forecasts take up to "
        "{factor} times these peaks."
    ),
    "laptop-clocks": lambda power, power_range="", boost_range="": (
        f"The laptop's maker chooses power{power_range and f' ({power_range})'} and clocks"
        f"{boost_range and f' ({boost_range} of boost)'}: these are the peaks at {power}, and other laptops run faster "
        "or slower."
    ),
    "memory-unmeasured": "The memory bandwidth of this machine is unknown: `hwbench bench memory` measures it.",
    # machine.host
    "gpu-beside": lambda gpu, count, device, choices=(): (
        f"This machine has {f'{count} ×' if count > 1 else 'a GPU beside its CPU,'} {gpu}: "
        + (
            f"`hwbench peak {device}` shows its peaks."
            if device
            else f"in the catalog that is one of {few(choices)}."
            if choices
            else "the catalog has no device of that name."
        )
    ),
    "affinity": lambda usable, online, cpus: (
        f"This process may use {usable} of {online} logical CPUs (number{'s' * (usable > 1)} {cpus})."
    ),
    "architecture-left-out": lambda error, others: (
        f"An architecture's file is left out{f' (and {others} more)' if others else ''}: {error}"
    ),
    "brand-contradicted": "The brand says {title}, but the flags show more: the brand is not believed.",
    "clock-above-catalog": (
        "The system states a clock of up to {clock_hz}, above the {catalog_hz} of the catalog: peaks use the catalog's."
    ),
    "clock-assumed": lambda clock_hz, core_class: (
        f"No clock{_of_class(core_class)} is known; {Hertz(clock_hz)} is assumed, {_NO_BOUND} {_MEASURE_CLOCK}"
    ),
    "clock-from-hypervisor": lambda clock_hz, core_class: (
        f"The hypervisor states a clock{_of_class(core_class)} of {Hertz(clock_hz)}; the real one may be higher, "
        f"{_NO_BOUND} {_MEASURE_CLOCK}"
    ),
    "clock-overstated": lambda clock_hz, core_class: (
        f"amd-pstate states a clock{_of_class(core_class)} of {Hertz(clock_hz)}, and is known to state more than cores "
        f"reach. {_MEASURE_CLOCK}"
    ),
    "clock-without-boost": lambda clock_hz, core_class: (
        f"The system states a clock{_of_class(core_class)} of {Hertz(clock_hz)} and no boost; the real one may be "
        f"higher, {_NO_BOUND} {_MEASURE_CLOCK}"
    ),
    "cores-uncounted": "The system does not tell cores from threads: every logical CPU is assumed to be a core.",
    "core-classes-hidden": "{title} has more classes of cores than the system shows: some may count as faster ones.",
    "cpu-unknown": lambda core_class, identity, isas: (
        f"The catalog does not know this CPU{f' ({core_class})' if core_class else ''}, {identity}: "
        + (
            "no flag tells of vector units, and two scalar FMA a cycle are assumed, which is too low if it has any."
            if isas == ["scalar"]
            else f"its rates are assumed from its flags ({', '.join(isas)}), as high as those of the widest core that "
            "has them."
        )
    ),
    "hybrid-hidden": (
        "CPUs with cores of {title} often have E-cores too, and the system shows one class of cores: some may count as "
        "faster ones."
    ),
    "isa-hidden": "{title} has {isas}, but the flags do not show it: those rates are left out.",
    "memory-limited": "The control group limits memory to {limit_bytes} of {total_bytes}.",
    "model-ambiguous": lambda title, others: (
        f"The model number fits {title} and {' and '.join(others)}: the first is assumed."
    ),
    "model-generic": "The hypervisor shows a generic model, {model}: any CPU with its flags may be behind it.",
    "model-contradicted": "The model number says {title}, which has no {flag}: it is not believed.",
    "quota": (
        "The control group's quota allows {quota:g} CPUs' worth of time: {counted} of {cores} cores are counted, "
        "so that peaks stay upper bounds."
    ),
    "sme-uncounted": "This CPU has SME, of which no rates are known: peaks leave its matrix products out.",
    "virtual-cpus": (
        "Under this hypervisor a virtual CPU may be half a physical core (the guest shows no SMT): "
        "peaks may be twice too high."
    ),
    # predict
    "autocast-as-fp16": "{file} was measured with autocast to bf16; autocast to fp16 is replayed instead.",
    "bandwidth-assumed": "The memory bandwidth of {device} is assumed.",
    "overhead-set": "Launches are taken to cost {factor} times what the time model says.",
    "bandwidth-unknown": lambda device: (
        f"The memory bandwidth of {device} is unknown, so there is no roofline and no forecast"
        f"; {'`hwbench bench` measures it' if device == 'host' else '`--set bandwidth=100GB/s` states it'}."
    ),
    "isa-unmeasured": (
        "{device} is no x86: the parameters of {runtime} were fitted to x86 alone, and the interval is wider for it."
    ),
    "cache-assumed": "The forecast assumes a size of the last-level cache, which is unknown.",
    "interval-wide": lambda device, factor, **_: (
        f"The interval spans a factor of {factor:.3g}, too wide to plan with: time a dozen networks on {device}, and "
        f"`hwbench calibrate --device {device} times.csv` narrows it."
    ),
    "runtimes-left-out": "Timings of {runtimes} were left out: {least} are needed of a runtime.",
    "computed-by-fp32-units": "{dtype} data is assumed to be computed by the fp32 units, which are faster here.",
    "calibrated": lambda device, created, source, compute, memory, overhead, runtime="torch-eager", **_: (
        f"Calibrated for {runtime} at {created[:16].replace('T', ' ')} UTC by {source}: compute takes {compute:.3g}, "
        f"memory {memory:.3g} and overhead {overhead:.3g} times as long as the model says "
        f"(`hwbench calibrate --reset --device {device} --runtime {runtime}` removes this)."
    ),
    "device-similar": "The device '{name}' is taken to be {device} ({title}).",
    "does-not-fit": "The model does not fit at {dtype}: it needs at least {needed_bytes}, {device} has {size_bytes}.",
    "no-kernels": "There is no forecast: {runtime} has no {dtype} kernels for whole networks, such as convolutions.",
    "no-time-model": (
        "There is no forecast: hwbench has no time model of {device}, and its peaks are what its vendor states."
    ),
    "memory-size-unknown": "The memory size of {device} is unknown, so the model may not fit.",
    "peak-assumed": lambda device, fields: (
        f"The peak of {device} rests on assumed values ({', '.join(fields) or 'clock or units'})."
    ),
    "rate-missing": "The peak leaves out {units}, whose {dtype} rate is unknown.",
    "uncounted": "Not counted: {ops}. The bounds leave their arithmetic out.",
    # predict.language
    "rates-impossible": (
        "{count} rates are above the bound and left out: speculative decoding, a sum over users, or another size than "
        "stated reaches such."
    ),
    "language-calibrated": "Times are corrected by measurements of {device}: {source}.",
    "class-unfitted": (
        "Nothing was fitted to devices of the class of {device}: the parameters of NVIDIA's cards are used, and the "
        "interval is a factor of two."
    ),
    "server-unfitted": (
        "Nothing was fitted to servers: this is the steady state of continuous batching in steps of {budget} tokens, "
        "with shares of the peaks that are assumed, and an interval of a factor of two."
    ),
    "weights-decoded": "{device} has no {weights} products: weights are decoded to 16 bits and multiplied in those.",
    "memory-kept-by-system": "macOS lets a GPU use {part} of the memory unless told otherwise (iogpu.wired_limit_mb).",
    "gpu-on-chip": "This is the CPU. llama.cpp runs on the GPU of this chip unless told otherwise: ask for {gpu}.",
    "link-assumed": "The link between devices of {device} is unknown: 16 lanes of PCIe 4.0 are assumed (--link).",
    "devices-split-tensors": lambda devices, link: (
        f"Every layer is shared by {devices} devices, which add up their results over {link / 1e9:.4g} GB/s each: "
        "nothing was fitted to that, and the interval is a factor of two."
    ),
    "context-beyond-model": "The context of {context} tokens is longer than the model was made for ({longest}).",
    "architecture-unfitted": (
        "No device of the architecture {architecture} was measured: the parameters are those of others of its class, "
        "and the interval is twice as wide as theirs."
    ),
    "experts-unfitted": (
        "No mixture of experts was measured: the forecast reads the experts that independent tokens choose, and the "
        "interval is a factor of two."
    ),
    "layers-on-cpu": (
        "The CPU computes {layers} layers of the prompt too: llama.cpp may do that on the device, over the link, for "
        "long prompts. What handing over takes is left out."
    ),
    "devices-split-by-layers": (
        "Layers are split between {devices} devices, one behind the other: generation is no faster than on one."
    ),
    # workload.language
    "parameters-differ": "The files hold {stored:,} parameters, the configuration describes {described:,}.",
    "tower-left-out": "The {tower} tower of the model is left out.",
    "vision-left-out": "The vision or audio tower of the model is left out ({params:,} parameters).",
    # measure
    # conditions of a measurement
    "governor-slow": "The frequency governor is {governor}: set the performance governor before measuring.",
    "turbo-off": "Turbo is switched off: the clock stays at its base.",
    "blas-kernels-chosen": "{variable}={value} makes the BLAS use other kernels than those for this CPU.",
    "numba-target-chosen": "{variable}={value} makes numba compile for a different CPU.",
    "quota-below-one-cpu": (
        "The control group allows {quota:g} of one CPU: samples are interrupted, so only CPU time counts."
    ),
    "quota-below-cores": (
        "The control group allows the time of {quota:g} of {cores} cores: by default, kernels use no more threads."
    ),
    "python-development-mode": "Python runs in development mode, which slows it.",
    "other-work": "Other work took {share} of the CPUs' time during the measurement.",
    "hypervisor-steal": "The hypervisor gave {share} of the CPUs' time to others during the measurement.",
    "other-hwbench": "Another hwbench measured at the same time: measure again, one after the other.",
    "quota-throttled": "The control group stopped this process for {share} of the time.",
    "processor-hot": "The processor is at {celsius:.0f} °C and may have slowed down.",
    # api
    "host-not-saved": "The run of {host} was not saved: {reason}",
    "host-failed": "{host} ({worker}) gave no record: {reason}",
    "host-not-compared": "{host} is not compared: {reason}",
    "later-id": (
        "The run saved last is {id}, although {later} has a later time: the clock was set back, or runs overlapped or "
        "were copied."
    ),
    "newest-run-left-out": "The newest saved run is left out: {reason}",
    "no-prediction": "There is no prediction at {dtype}: {reason}",
    "rates-unknown": "Left out because no rate for {model} at {dtype} is known: {devices}.",
    "rows-left-out": "{count} rows were left out, the first because: {reason}",
    "run-not-saved": "The run was not saved: {reason}",
    "torch-device-unknown": "Nothing is known of {title}: there are no predictions.",
    "uncounted-in": "Not counted in {model}: {operators}.",
    "calibrated-with-other-ceilings": (
        "{runtime} was calibrated with the ceilings of {was}, which are now those of {now}: calibrate again."
    ),
    # a run
    "wrong-answers": "These kernels gave wrong answers, so ignore their speed: {kernels}.",
    "interrupted": "The run was interrupted: some kernels have no samples, or fewer than usual.",
    "kernel-left-out": "{kernel} was not measured: {reason}",
    "emulated-dtype": (
        "This CPU has no arithmetic in {dtype}: hwbench multiplies it in fp32, libraries emulate it, up "
        "to 100 times slower than fp32."
    ),
    "processes-failed": "{failed} of {count} processes failed: {reason}",
    "processes-interrupted": "The run was interrupted: {measured} of {count} processes measured.",
    "hosts-share-machine": "{hosts} are one machine, which measured for all of them at once.",
    "above-stated-peak": _above_stated_peak,
    "above-measured-peak": _above_measured_peak,
    "above-memory-peak": (
        "{name} reaches {share} of the memory's peak: its arrays may fit in a cache, or the memory is faster than the "
        "catalog says."
    ),
    "cores-shared": lambda name, share, virtual: (
        f"{name} gives each CPU {100 * share:.0f} % of what one has alone: "
        + ("the hypervisor's CPUs are threads of shared cores." if virtual else "they share cores, or power.")
    ),
    "ceilings-doubtful": lambda runs, why, kernels: (
        f"Ceilings of {', '.join(kernels)} rest on measurements that {_DOUBTS[why]}, since there are no better ones "
        f"(run {', '.join(runs)}): `hwbench bench` on a machine at rest makes them."
    ),
    # study
    "bandwidths-assumed-of": "Memory bandwidths are assumed: {devices}.",
    "columns-read": "Columns are read as {columns}.",
    "condition-differs": lambda what, field, a, b: f"The runs have {what}: {field} {_value(a)} against {_value(b)}.",
    "devices-with-several-clocks": lambda devices, names: (
        f"{devices} device{'s' * (devices > 1)} with several clocks ({', '.join(names)}): every row is used, but some "
        "clocks may be turbo clocks."
    ),
    "few-microarchitectures": (
        "{count} microarchitectures are few: the intervals depend on their number, not on that of the rows."
    ),
    "measured-in-part": "The run was interrupted during: {kernels}.",
    "model-does-not-fit-on": "The model does not fit the memory of: {devices}.",
    "no-microarchitecture-known": (
        "No microarchitecture is known: rows instead of microarchitectures are resampled, and none are left out."
    ),
    "one-microarchitecture": "All rows are of one microarchitecture ({name}), so none is left out in turn.",
    "peaks-assumed-of": "Peaks rest on assumed values: {devices}.",
    "rows-alone": (
        "{alone} of {rows} rows are the only ones of their microarchitecture, whose effect explains them completely."
    ),
    "rows-drawn": "{drawn:,} of {rows:,} rows were drawn at random: all of them would take too long.",
    "rows-without-microarchitecture": "{rows} rows without a microarchitecture are left out.",
    "run-above-peak": (
        "{model} in {runtime} at {dtype}, batch {batch} runs at {utilization} of the peak: the real clock is above the "
        "stated one, or its convolutions take fewer operations than were counted (Winograd, FFT)."
    ),
    "run-output-wrong": (
        "{model} in {runtime} at {dtype}, batch {batch}: the output is not finite, or differs from that of torch eager "
        "in fp32. Ignore its time."
    ),
    "step-unforecast": (
        "Nothing is forecast for this machine, so that blocks are compared by FLOP alone: `hwbench bench` measures "
        "what the forecast needs."
    ),
    "step-not-finite": (
        "{model} in {runtime} at {dtype}, batch {batch}: losses or gradients of random data are not finite. The time "
        "may be that of other steps."
    ),
    "engine-precision": "{runtime} computes {dtype} networks in {precision} on this machine.",
    "engine-default": "{runtime} was set to fp32; by itself it computes fp32 networks in {precision} on this machine.",
    "runtimes-without-parameters": (
        "Not compared, because the time model has no parameters for them on a {kind}: {runtimes}. `hwbench run` "
        "measures them."
    ),
    "runtime-left-out": "{runtime} in {dtype} is left out: {reason}",
    "not-in-turns": lambda allowance, two_machines, disturbed=(): (
        (
            f"A disturbed run shows that work as well, so no kernel is called faster or slower. {' '.join(disturbed)} "
            if disturbed
            else "These runs were not measured in turns, so a drift of a machine may look like a "
            f"difference: only one above {100 * allowance:g} % is called faster or slower. "
        )
        + ("Further runs of both show it." if two_machines else "`hwbench compare --live` measures in turns.")
    ),
    "same-run": lambda same_id: (
        f"A run is compared with {'itself' if same_id else 'a copy of itself'}: its ratios are 1 and tell nothing."
    ),
    "spread-assumed": lambda spread: (
        f"A run has one process: the difference between processes is assumed ({100 * spread:g} %), not measured; "
        "`hwbench bench --processes 5` measures it."
    ),
    "suite-constant": "{suite} has the same {what} in every row and is not studied.",
    "suite-too-small": "{suite} has {rows} usable rows and is not studied: the minimum is {minimum}.",
    **{code: _rows(what) for code, what in _ROWS.items()},
}
"""The sentence of each code: a template of its data (see `_readable`), or a function of it where words depend on it."""
