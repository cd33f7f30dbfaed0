"""The doors through which something from outside comes in, each a generator of cases from a seeded random source.

A case is the words of a command, the files it finds in its folder and variables of its environment.
"""

import csv
import inspect
import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import click
import msgspec
import yaml

from hwbench.cli.main import hwbench
from tests.fuzz import graphs, language, mutate

ROOT = Path(__file__).parents[2]
MODELS = ("alexnet", "lenet5", "resnet50", "bert-base", "matmul:64x64x64", "timm:resnet18")
DEVICES = ("rtx3090", "i9-10940x", "h100-sxm", "rtx4090", "ryzen9-9950x", "m1", "pentium3-500")


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Case(msgspec.Struct, frozen=True):
    """One execution: `words` after `hwbench` (or the answer of a worker), files by name, environment variables."""

    door: str
    words: tuple[str, ...]
    files: dict[str, bytes] = {}
    environment: dict[str, str] = {}


def _text(path: str) -> bytes:
    return (ROOT / path).read_bytes()


@cache
def _catalog(kind: str) -> tuple[Path, ...]:
    return tuple(sorted((ROOT / "configs" / kind).glob("*.yaml")))


def _yaml(random: Random, source: bytes) -> bytes:
    if random.random() < 0.4:
        return mutate.content(random, source)
    data = mutate.tree(random, json.loads(json.dumps(yaml.load(source, _Loader), default=str)))
    return mutate.as_json(data) if random.random() < 0.5 else _dumped(data)


def _dumped(data: Any) -> bytes:
    try:
        return yaml.dump(data, Dumper=_Dumper, allow_unicode=True).encode(errors="surrogatepass")
    except (ValueError, yaml.YAMLError):
        return mutate.as_json(data)


def _json(random: Random, source: bytes) -> bytes:
    if random.random() < 0.3:
        return mutate.content(random, source)
    return mutate.as_json(mutate.tree(random, json.loads(source)))


def _flag(random: Random) -> list[str]:
    return ["--json"] if random.random() < 0.5 else []


COMMANDS: dict[str, tuple[str, ...]] = {
    "estimate": tuple(
        ("--dtype --batch --clock --runtime --math --set --layers --roofline --input --image-size --context ").split()
    ),
    "count": ("--convention", "--dtype", "--batch", "--input", "--phase", "--mode"),
    "peak": ("--device", "--set", "--clock"),
    "require": tuple(
        (
            "--rate --latency --utilization --dtype --batch --all --device --kind --vendor --architecture --year "
            "--runtime --math "
        ).split()
    ),
    "compare": tuple(
        (
            "--model --dtype --batch --sort --kind --year --vendor --architecture --format --margin --level --clock "
            "--runtime --math --baseline "
        ).split()
    ),
    "sweep": tuple("--dtype --batch --format --kind --year --vendor --architecture --runtime --math".split()),
    "devices list": ("--kind", "--year", "--vendor", "--architecture"),
    "calibrate": ("--measurements", "--device", "--show"),
    "devices show": (),
    "devices search": (),
    "models list": (),
    "models show": (),
    "models search": (),
    "results list": (),
    "results show": (),
    "results path": (),
    "study clock": ("--data", "--model", "--device", "--dtype", "--batch", "--columns", "--years"),
    "validate": ("--measurements", "--device", "--dtype", "--rows", "--runtime", "--layout"),
    "completion": (),
}
POSITIONAL = ("estimate", "count", "peak")
"""Commands whose model and device may be arguments."""
FLAGS = ("--layers", "--roofline", "--all", "--rows", "--show")
VALUES = (
    *MODELS,
    *DEVICES,
    "fp32",
    "fp16,bf16",
    "amp",
    "fp23",
    "1",
    "8",
    "1,8,64",
    "1..8",
    "0",
    "-1",
    "1e3",
    "base",
    "boost",
    "clock=3GHz",
    "units=0",
    "units=00000000000000000001999",
    "bandwidth=1e400GB/s",
    "matmul:00000000000000000001999x2x3",
    "matmul:1x1",
    "timm:",
    "torchvision:../x",
    "hf:llama",
    "memory=-1B",
    "30/s",
    "0/s",
    "5ms",
    "1e-400s",
    "inf",
    "2x3x8x8",
    "2x128:int64",
    "0x0",
    "cpu",
    "gpu",
    "2020..",
    "..1999",
    "9999",
    "json",
    "csv",
    "markdown",
    "text",
    "torch-compile-cuda",
    "torch-compile",
    "torch-2.99-eager",
    f"torch-2.{'9' * 5000}-eager",
    "strict",
    "default",
    "nvidia",
    "AMD",
    "ampere",
    "zen",
    "host",
    "name",
    "3%",
    "0%",
    "0.95",
    "1",
    "mac",
    "mac-bias",
    "training",
    "prefill",
    "--json",
    "--help",
    "--",
    "-",
    ".",
    "/",
    "/dev/null",
    "nowhere.yaml",
)


def command_line(random: Random) -> Case:
    """Options and arguments in any combination."""
    name = random.choice(list(COMMANDS))
    words = name.split()
    by_place = name in POSITIONAL and random.random() < 0.4
    if name in ("estimate", "count", "require", "sweep"):
        words += [] if by_place else ["--model"]
        words.append(random.choice(MODELS) if random.random() < 0.9 else str(mutate.scalar(random)))
    if name in ("estimate", "sweep", "peak"):
        words += [] if by_place else ["--device"]
        words.append(random.choice(DEVICES))
    for _ in range(random.randrange(4)):
        option = random.choice(COMMANDS[name] or ("",))
        words += [option] if option else []
        if option not in FLAGS:
            words.append(random.choice(VALUES) if random.random() < 0.8 else str(mutate.scalar(random)))
    return Case("command line", tuple(word.replace("\0", "") for word in [*words, *_flag(random)]))


def device(random: Random) -> Case:
    """A device of somebody's, as a YAML file."""
    content = _yaml(random, random.choice(_catalog("devices")).read_bytes())
    words = random.choice(
        (
            ("peak", "-d", "./x.yaml"),
            ("estimate", "-m", random.choice(MODELS), "-d", "./x.yaml", "--batch", "1,8"),
            ("devices", "show", "./x.yaml"),
            ("compare", "./x.yaml", "rtx3090", "-m", "lenet5"),
            ("sweep", "-m", "lenet5", "-d", "./x.yaml", "--batch", "1..4"),
        )
    )
    return Case("device YAML", (*words, *_flag(random)), {"x.yaml": content})


def model(random: Random) -> Case:
    """A network of somebody's, as a YAML file."""
    content = _yaml(random, random.choice(_catalog("models")).read_bytes())
    words = random.choice((("count", "-m", "./x.yaml"), ("estimate", "-m", "./x.yaml", "-d", random.choice(DEVICES))))
    return Case("model YAML", (*words, *_flag(random)), {"x.yaml": content})


def architecture(random: Random) -> Case:
    """A catalog folder of somebody's, with a microarchitecture, a device, and leftovers of other versions."""
    source = random.choice(_catalog("architectures"))
    files = {f"c/architectures/{source.name}": _yaml(random, source.read_bytes())}
    if random.random() < 0.3:
        files["c/devices/index.json"] = _json(random, b'{"files": ["x"], "spellings": {"rtx3090": "../../x"}}')
        files["c/devices/parsed.txt"] = mutate.content(random, b'\n\nrtx3090.yaml\t10-00000000\t{"title": "x"}\n')
    users = [path.stem for path in _catalog("devices") if f"architecture: {source.stem}," in path.read_text()]
    words = ("peak", "-d", random.choice(users or DEVICES))
    return Case("architecture YAML", (*words, *_flag(random)), files, {"HWBENCH_CONFIGS": "c"})


@cache
def _record() -> bytes:
    """The golden run, with few samples of each measurement, so that a case is a small file."""
    data = json.loads(_text("tests/golden/run-1.json"))
    for measurement in data["measurements"]:
        measurement["samples"] = measurement["samples"][:6]
    return json.dumps(data).encode()


def record(random: Random) -> Case:
    """A saved run of somebody's."""
    words = random.choice(
        (
            ("results", "show", "x.json"),
            ("compare", "y.json", "x.json"),
            ("compare", "x.json", "y.json"),
            ("peak", "-d", "run:x.json"),
            ("estimate", "-m", "lenet5", "-d", "run:x.json"),
            ("explain", "--run", "x.json", "-m", "lenet5"),
        )
    )
    return Case("run record", (*words, *_flag(random)), {"x.json": _json(random, _record()), "y.json": _record()})


def measurements(random: Random) -> Case:
    """A table of measured times, ours or timm's."""
    source = _text("results/published/cited.csv")
    if random.random() < 0.5:
        content = mutate.content(random, b"\n".join(source.split(b"\n")[:12]))
    else:
        rows = list(csv.reader(io.StringIO(source.decode())))[1:10]
        for _ in range(random.choice((1, 2, 4))):
            row = random.choice(rows)
            row[random.randrange(len(row))] = str(mutate.scalar(random))
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        content = text.getvalue().encode(errors="surrogatepass")
    return Case("measurement CSV", ("validate", "--measurements", "x.csv", *_flag(random)), {"x.csv": content})


def scores(random: Random) -> Case:
    """A table of benchmark scores and clocks."""
    rows = [["suite", "device", "year", "clock_ghz", "cores", "microarchitecture", "score"]]
    for index in range(random.choice((31, 36, 50, 3))):
        clock = 1 + (index * 7 % 30) / 10
        score = f"{10 * clock + index % 7}"
        rows.append(["s", f"d{index}", f"{1998 + index // 3}", f"{clock:.2f}", "4", f"m{index % 5}", score])
    for _ in range(random.choice((0, 1, 3, 10))):
        row = random.choice(rows)
        row[random.randrange(len(row))] = str(mutate.scalar(random))
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    content = text.getvalue().encode(errors="surrogatepass")
    if random.random() < 0.3:
        content = mutate.content(random, content)
    return Case("clock CSV", ("study", "clock", "--data", "x.csv", *_flag(random)), {"x.csv": content})


def trace(random: Random) -> Case:
    """A saved trace of a network."""
    content = _json(random, random.choice(TRACES))
    words = random.choice((("count", "-m", "x.json"), ("estimate", "-m", "x.json", "-d", random.choice(DEVICES))))
    return Case("saved trace", (*words, *_flag(random)), {"x.json": content})


def _traces() -> tuple[bytes, ...]:
    linear = {
        "kind": "linear", "output_shape": [8], "params": 136, "macs": 128, "bias_adds": 8, "input_elements": 16,
        "weight_elements": 136, "output_elements": 8, "name": "fc", "columns": 8, "depth": 16, "groups": 1, "window": 1,
    }  # fmt: skip
    conv = linear | {"kind": "conv", "name": "conv", "window": 9, "stride": 1, "macs": 1152, "count": 2}
    attention = linear | {"kind": "attention", "name": "a", "masked": True, "params": 0, "weight_elements": 0}
    head = {"schema": "hwbench.workload/1", "name": "m", "title": "t", "input_shape": [16]}
    return tuple(json.dumps(head | {"ops": ops}).encode() for ops in ([linear], [conv, linear], [linear, attention]))


TRACES = _traces()


def parameters(random: Random) -> Case:
    """Parameters that somebody fitted."""
    content = _json(random, _text("hwbench/predict/model/parameters.json"))
    table = b"\n".join(_text("results/published/cited.csv").split(b"\n")[:6])
    words = ("validate", "--measurements", "x.csv", "--parameters", "p.json", *_flag(random))
    return Case("parameters", words, {"x.csv": table, "p.json": content})


def onnx(random: Random) -> Case:
    """An ONNX file of somebody's."""
    words = ("count", "-m", "x.onnx", *random.choice(((), (), (), ("--batch", "2"))))
    return Case("ONNX", (*words, *_flag(random)), {"x.onnx": graphs.graph(random)})


def environment(random: Random) -> Case:
    """Variables that a shell, a scheduler or a joker sets."""
    names = tuple(
        (
            "COLUMNS NO_COLOR TERM HWBENCH_RESULTS HWBENCH_CONFIGS XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME "
            "HOME _HWBENCH_COMPLETE COMP_WORDS COMP_CWORD HWBENCH_TRACEBACK PYTHONIOENCODING NUMBA_CPU_NAME "
        ).split()
    )
    values = (
        *mutate.STRINGS,
        "bash_complete",
        "zsh_source",
        "fish_complete",
        "hwbench est",
        "1",
        "2",
        "/proc",
        "/nowhere",
    )
    chosen = {random.choice(names): random.choice(values) for _ in range(random.randrange(1, 4))}
    chosen = {k: v.replace("\0", "").encode(errors="replace").decode() for k, v in chosen.items()}
    words = random.choice((("peak", "-d", "rtx3090"), ("results", "list"), ("estimate", "-m", "lenet5", "-d", "m1")))
    return Case("environment", (*words, *_flag(random)), {}, chosen)


def answer(random: Random) -> Case:
    """What a worker of a cluster answers."""
    return Case("worker answer", (), {"answer": _json(random, _record())})


def timings(random: Random) -> Case:
    """A dozen times that somebody measured, to which the factors of a device are fitted."""
    head = "model,device,dtype,batch,time_ms,runtime"
    rows = [[name, "rtx3090", "fp32", f"{batch}", f"{1 + batch / 9}", "torch-eager-cuda"]
            for name in ("alexnet", "resnet50", "vgg16") for batch in (1, 8, 64)]  # fmt: skip
    for _ in range(random.choice((0, 1, 1, 2, 5))):
        row = random.choice(rows)
        row[random.randrange(len(row))] = str(mutate.scalar(random))
    text = io.StringIO()
    csv.writer(text).writerows([head.split(","), *rows])
    content = text.getvalue().encode(errors="surrogatepass")
    content = mutate.content(random, content) if random.random() < 0.3 else content
    words = ("calibrate", "--device", random.choice((*DEVICES, "rtx3090")), "x.csv", *_flag(random))
    return Case("few timings", words, {"x.csv": content})


def calibration(random: Random) -> Case:
    """Calibrations among the user's own files, of the first version or of now, or of another hand."""
    source: dict[str, object] = {
        "device": "rtx3090", "created": "2026-11-29T12:00:00Z", "source": "mine.csv", "timings": 12, "compute": 1.1,
        "memory": 0.9, "overhead": 1.3, "spread": 0.1, "ceilings": None, "schema": "hwbench.calibration/1",
    }  # fmt: skip
    words = random.choice(
        (("estimate", "-m", "lenet5", "-d", "rtx3090"), ("calibrate", "--show", "--device", "rtx3090"))
    )
    now = [{**source, "runtime": name, "schema": "hwbench.calibration/2"} for name in ("torch-eager", "torch-compile")]
    file, text = "hwbench/calibrations/rtx3090.json", json.dumps(random.choice((source, now)))
    return Case("saved calibration", (*words, *_flag(random)), {file: _json(random, text.encode())})


def setting(random: Random) -> Case:
    """A setting of a live comparison."""
    words = ("here", "threads=2", "python=python3", "OMP_PROC_BIND=true", "A= ", "threads=", "python=", "'", "é=1")
    parts = [random.choice((*words, str(mutate.scalar(random)))) for _ in range(random.choice((1, 1, 2, 3)))]
    if random.random() < 0.3:
        parts = [f"{random.choice(('threads', 'python', 'PATH'))}={part}" for part in parts]
    return Case("live setting", (" ".join(parts),))


def _estimated(random: Random, name: str, share: float = 0.2) -> tuple[str, ...]:
    options = language.options(random) if random.random() < share else []
    return ("estimate", name, random.choice(("rtx3090", "m1", "i9-10940x")), *options, *_flag(random))


def language_model(random: Random) -> Case:
    """Options of language models of the catalog."""
    name = random.choice(language.MODELS) if random.random() < 0.3 else "llama3-8b"
    return Case("language options", _estimated(random, name, 1.0))


def gguf(random: Random) -> Case:
    """A GGUF file of somebody's."""
    return Case("GGUF", _estimated(random, "./x.gguf"), {"x.gguf": language.gguf(random)})


def hub_folder(random: Random) -> Case:
    """A folder of somebody's with a configuration, and with or without weights."""
    files = {"x/config.json": language.configuration(random)}
    if random.random() < 0.5:
        files["x/model.safetensors"] = language.safetensors(random)
        files["x/config.json"] = random.choice(
            (files["x/config.json"], json.dumps(language.CONFIGURATIONS[0]).encode())
        )
    name = random.choice(("./x", "x/config.json", "./x/model.safetensors"))
    return Case("hub folder", _estimated(random, name), files)


def rates(random: Random) -> Case:
    """Tokens a second that llama-bench printed, or so it seems."""
    device = ("--device", random.choice(("rtx3090", "i9-10940x", "run:x", "../x")))
    words = random.choice((("validate", "x"), ("validate", "x", *device), ("calibrate", "x", *device)))
    return Case("llama-bench", (*words, *_flag(random)), {"x": language.rates(random)})


ENGINES = (
    "onnxruntime", "openvino", "onnxruntime,openvino", "all", "torch", "torch-compile", "onnxruntime,torch", "tensorrt",
    "onnxruntime,,", "llama.cpp", "",
)  # fmt: skip
RUN_OPTIONS = {
    "--dtype": ("fp32", "fp16", "bf16", "int8", "fp32,int8", "int4", "fp64", "tf32", "amp", "fp16,fp23"),
    "--batch": ("1", "2", "1,3", "1000000000", "0", "00000000000000000001999"),
    "--threads": ("1", "2", "4096", "0", "-1"),
    "--input": ("2x3x8x8", "2x128:int64", "1x1", "0x0", "99999999999x2", "x"),
    "--on": ("cpu", "cuda", "mps", "/dev/null"),
    "--budget": ("0.05s", "1e400s", "0", "50ms"),
    "--batch-dim": ("0", "1", "-1", "99"),
    "--phase": ("inference", "training", "prefill"),
    "--image-size": ("8", "0", "1000000"),
    "--layers": (), "--compile": (), "--channels-last": (), "--strict": (),
}  # fmt: skip


def file_run(random: Random) -> Case:
    """A graph of somebody's that engines run, in any of their formats and batches."""
    words = ["run", random.choice(("x.onnx", "x.onnx", "x.onnx", "onnx:./x.onnx", "nowhere.onnx", ".onnx"))]
    words += ["--runtime", random.choice((*ENGINES[:2] * 4, *ENGINES)), "--budget", "50ms"]
    for option in random.choices(list(RUN_OPTIONS), k=random.choice((0, 0, 1, 2))):
        words += [option, *([random.choice(RUN_OPTIONS[option])] if RUN_OPTIONS[option] else [])]
    content = graphs.network(random) if random.random() < 0.5 else graphs.graph(random)
    return Case("run of a file", (*words, *_flag(random)), {"x.onnx": content})


OUTPUTS = ("out", "out.csv", "out.json", "x/y", "run.json", ".", "")
"""Where a command may write: in the folder of the case."""
KERNELS = ("clock", "fma", "matmul", "memory")
FILES = (
    "run.json",
    "run:run.json",
    "timings.csv",
    "scores.csv",
    "trace.json",
    "./device.yaml",
    "x.onnx",
    "missing.json",
)
ARGUMENTS = {"kernels": KERNELS, "shell": ("bash", "zsh"), "files": FILES, "model_argument": MODELS, "model": MODELS}


@cache
def commands() -> dict[tuple[str, ...], list[click.Parameter]]:
    """Return the arguments and options of every command."""
    found: dict[tuple[str, ...], list[click.Parameter]] = {}

    def visit(command: click.Command, words: tuple[str, ...]) -> None:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                visit(command.get_command(context, name) or command, (*words, name))
        else:
            found[words] = command.params

    visit(hwbench, ())
    return found


def every_command(random: Random) -> Case:
    """Any command with any of its options, on good files; nothing is measured and no cluster is asked."""
    words, parameters = random.choice(list(commands().items()))
    options = [each for each in parameters if isinstance(each, click.Option)]
    line = [*words]
    for argument in (each for each in parameters if isinstance(each, click.Argument)):
        names = ARGUMENTS.get(str(argument.name), (*FILES, *DEVICES)) if random.random() < 0.8 else VALUES
        line += random.choices(names, k=random.choice((0, 1, 2)) if argument.nargs < 0 else random.choice((0, 1, 1)))
    for option in random.choices(options, k=random.choice((0, 0, 1, 2, 3))) if options else ():
        line.append(option.opts[0])
        if option.name in ("path", "save", "keep", "folder"):
            line.append(random.choice(OUTPUTS))
        elif not option.is_flag:
            own = (*getattr(option.type, "choices", ()), *FILES, *VALUES, *language.VALUES)
            line.append(random.choice(own) if random.random() < 0.8 else str(mutate.scalar(random)))
    table = b"\n".join(_text("results/published/cited.csv").split(b"\n")[:6])
    files = {"run.json": _record(), "timings.csv": table, "trace.json": TRACES[0], "x.onnx": graphs.network(random)}
    files |= {"device.yaml": _text("configs/devices/rtx3090.yaml"), "scores.csv": b"suite,device,clock_ghz,score\n"}
    return Case("every command", tuple(word.replace("\0", "") for word in line), files)


def page(random: Random) -> Case:
    """A question of the local page."""
    from urllib.parse import urlencode

    fields = [("model", random.choice((*MODELS, "llama3-8b"))), ("device", random.choice(DEVICES))]
    names = ("model device dtype batch runtime math weights prompt generate context along set.clock set.units "
             "set.bandwidth set.power set.clock.P-core cheese").split()  # fmt: skip
    for _ in range(random.randrange(4)):
        values = (*VALUES, *MODELS, *DEVICES, "2GHz", "64", "fp16", "q4_k_m", "torch-compile", "clock", "bandwidth")
        value = random.choice(values) if random.random() < 0.7 else str(mutate.scalar(random))
        fields.append((random.choice(names), value))
    random.shuffle(fields)
    views = "answer roofline layers compare whatif machine clock accuracy nothing".split()
    return Case("local page", (random.choice(views), urlencode(fields, errors="replace")))


QUESTIONS = (
    "count", "estimate", "estimate_all", "estimate_language", "peak", "require", "compare", "sweep", "device",
    "devices", "model", "models", "meter", "study_clock",
)  # fmt: skip


def api(random: Random) -> Case:
    """A function of Python's that measures nothing, with values of the types that it names."""
    import hwbench as public

    name = random.choice(QUESTIONS)
    given: dict[str, Any] = {}
    for parameter in inspect.signature(getattr(public, name)).parameters.values():
        usual = MODELS if name == "model" or parameter.name.startswith("model") else DEVICES
        kind = str(parameter.annotation)
        if parameter.default is parameter.empty and parameter.kind != parameter.VAR_KEYWORD and random.random() < 0.9:
            given[parameter.name] = random.choice(usual)
        elif parameter.default is parameter.empty:
            given |= {} if parameter.kind == parameter.VAR_KEYWORD else {parameter.name: random.choice(mutate.STRINGS)}
        elif random.random() < 0.15 and parameter.name not in ("progress", "command", "save", "settings", "scheduler"):
            numbers = (mutate.NUMBERS,) * ("int" in kind or "float" in kind)
            texts = (VALUES, mutate.STRINGS) * ("str" in kind)
            others = ((None,),) * ("None" in kind) + ((True,),) * ("bool" in kind)
            value = random.choice(random.choice((*numbers, *texts, *others) or ((parameter.default,),)))
            given[parameter.name] = [value] if "Sequence" in kind and random.random() < 0.8 else value
    words = json.dumps(given).replace("torch:", "torch.")  # which names code that is to run
    return Case("API", (name, words))


DOORS: dict[str, Callable[[Random], Case]] = {
    "command line": command_line,
    "device YAML": device,
    "model YAML": model,
    "architecture YAML": architecture,
    "run record": record,
    "measurement CSV": measurements,
    "clock CSV": scores,
    "saved trace": trace,
    "parameters": parameters,
    "ONNX": onnx,
    "environment": environment,
    "worker answer": answer,
    "few timings": timings,
    "saved calibration": calibration,
    "live setting": setting,
    "language options": language_model,
    "GGUF": gguf,
    "hub folder": hub_folder,
    "llama-bench": rates,
    "run of a file": file_run,
    "every command": every_command,
    "API": api,
    "local page": page,
}
SLOW = (
    "command line", "measurement CSV", "clock CSV", "environment", "few timings", "llama-bench", "run of a file",
    "every command", "API",
)  # fmt: skip
TURNS = 4
"""The slow doors get a case in each of so many turns; the others take a hundredth of a second or less."""


def case(door: str, seed: int, number: int) -> Case:
    """Return the case of a number: the same for the same seed, whatever ran before it."""
    return DOORS[door](Random(f"{seed}/{door}/{number}"))
