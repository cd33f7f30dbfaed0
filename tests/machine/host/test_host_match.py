"""What a CPU is taken for: brands, identities, flags against rates; and macOS's words for the same."""

import subprocess
from typing import Any

import pytest

from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.elsewhere import brand_keys
from hwbench.machine.host import macos
from hwbench.machine.host.facts import CoreClass, Identity
from hwbench.machine.host.files import Files
from hwbench.machine.host.isa import NEEDED, assumed_rates, contradicted, within_reach
from hwbench.machine.host.match import COMPANIONS, answers, known_device, match, same_classes
from hwbench.machine.parts import Clock, Cpuid, Rate, Units
from hwbench.units import Hertz


@pytest.mark.parametrize(("brand", "key"), [
    ("Intel(R) Core(TM) i9-10940X CPU @ 3.30GHz", "intelcorei910940x"),
    ("12th Gen Intel(R) Core(TM) i7-12700H", "corei712700h"),
    ("AMD Ryzen 9 5950X 16-Core Processor", "amdryzen95950x"),
    ("AMD Ryzen 7 7840U w/ Radeon  780M Graphics", "ryzen77840u"),
    ("AMD FX(tm)-8350 Eight-Core Processor", "fx8350"),
    ("AMD EPYC 7763 64-Core Processor", "amdepyc7763"),
    ("Intel(R) Xeon(R) CPU E5-2680 v3 @ 2.50GHz", "intelxeone52680v3"),
    ("Intel(R) Core(TM)2 Quad CPU    Q6600  @ 2.40GHz", "intelcore2quadq6600"),
    ("Apple M1", "applem1"),
])  # fmt: skip
def test_brands_have_the_key_of_the_plain_name(brand: str, key: str) -> None:
    assert key in brand_keys(brand)


@pytest.mark.parametrize("brand", ["", "AMD EPYC", "Intel(R) Xeon(R) CPU @ 2.20GHz", "M1"])
def test_brands_that_name_no_one_cpu_have_none(brand: str) -> None:
    assert brand_keys(brand) == frozenset()
    assert known_device(brand) is None


def test_a_gpu_is_never_the_host() -> None:
    assert known_device("NVIDIA GeForce RTX 3090") is None


@pytest.mark.parametrize(("cpuid", "identity", "answer"), [
    (Cpuid("GenuineIntel", (85,), 6), Identity("GenuineIntel", 6, 85, 7), True),
    (Cpuid("GenuineIntel", (85,), 6, (3, 4)), Identity("GenuineIntel", 6, 85, 7), False),
    (Cpuid("GenuineIntel", (85,), 6, (7,)), Identity("GenuineIntel", 6, 85, 7), True),
    (Cpuid("GenuineIntel", (85,), 15), Identity("GenuineIntel", 6, 85, 7), False),
    (Cpuid("AuthenticAMD", (85,)), Identity("GenuineIntel", 6, 85, 7), False),
    (Cpuid("Arm", (0xD0C,)), Identity("0x41", model=0xD0C), True),
    (Cpuid("0x41", (0xD0C,)), Identity("0x41", model=0xD0C), True),
    (Cpuid("Apple", (0xD0C,)), Identity("0x41", model=0xD0C), False),
])  # fmt: skip
def test_identities(cpuid: Cpuid, identity: Identity, answer: bool) -> None:
    assert answers(cpuid, identity) is answer


def test_every_companion_is_in_the_catalog() -> None:
    known = catalog.architectures()
    assert set(COMPANIONS) | set(COMPANIONS.values()) <= set(known)


def rate(isa: str, dtype: Any = "fp32", flops: float = 1) -> Rate:
    return Rate("matrix" if isa == "amx" else "vector", isa, dtype, flops)


@pytest.mark.parametrize(("one", "flags", "stays"), [
    (rate("avx512"), "avx512f", True), (rate("avx512"), "avx2 fma", False), (rate("avx2"), "avx2", False),
    (rate("avx2"), "avx2 fma", True), (rate("avx512-fp16", "fp16"), "avx512f", False),
    (rate("avx512-fp16", "fp16"), "avx512f avx512_fp16", True), (rate("avx-vnni", "int8"), "avx avx_vnni", True),
    (rate("avx-vnni", "int8"), "avx", False), (rate("amx", "bf16"), "amx_tile amx_int8", False),
    (rate("amx", "int8"), "amx_tile amx_int8", True), (rate("neon"), "neon", True),
    (rate("neon", "fp64"), "neon", False),
    (rate("neon", "fp64"), "asimd", True), (rate("neon", "fp16"), "asimd", False), (rate("sve"), "asimd", False),
    (rate("sve-bf16", "bf16"), "sve svebf16", True), (rate("neon-i8mm", "int8"), "asimd", False),
    (rate("neon-i8mm", "int8"), "asimd i8mm", True), (rate("something-else"), "fpu", True), (rate("avx512"), "", True),
    (rate("fma4"), "avx", False), (rate("x87"), "fpu", True),
])  # fmt: skip
def test_flags_decide_what_is_within_reach(one: Rate, flags: str, stays: bool) -> None:
    assert within_reach([one], flags.split()) == ((one,) if stays else ())


def test_flags_may_contradict_an_architecture() -> None:
    assert contradicted([rate("avx2")], ("avx512f",)) == "avx512f"
    assert contradicted([rate("avx512")], ("avx512f", "amx_tile")) == "amx_tile"
    assert contradicted([rate("avx512"), rate("amx", "bf16")], ("avx512f", "amx_tile")) is None


@pytest.mark.parametrize(("flags", "isa", "dtype", "flops"), [
    ("fpu avx512f avx2 fma", "avx512", "fp32", 64), ("fpu avx512f avx2 fma", "avx2", "fp64", 16),
    ("avx sse2 sse", "avx", "fp32", 32), ("avx fma4 sse2", "avx", "fp32", 32), ("avx avx2 sse2", "avx", "fp32", 32),
    ("sse2 sse", "sse2", "fp64", 8), ("sse", "sse", "fp32", 16),
    ("sse2 amx_bf16 amx_int8 amx_tile", "amx", "bf16", 1024), ("amx_int8", "amx", "int8", 2048),
    ("avx2 fma avx_vnni", "avx-vnni", "int8", 128), ("avx512f avx512_vnni", "avx512-vnni", "int8", 256),
    ("asimd asimdhp", "neon", "fp16", 64), ("asimd", "neon", "fp32", 32), ("asimd sve", "sve", "fp32", 64),
    ("asimd sve sve2", "neon", "fp32", 48), ("asimd sve sve2 asimdhp", "sve2", "fp16", 96),
    ("neon", "neon", "fp32", 16), ("", "scalar", "fp64", 4), ("vfp", "scalar", "fp32", 4),
    ("lasx lsx", "lasx", "fp32", 32), ("lsx", "lsx", "fp64", 8), ("avx512f avx512_fp16", "avx512-fp16", "fp16", 128),
    ("rvd rvv", "rvv", "fp64", 16), ("rvv rvzvfh", "rvv", "fp16", 64), ("altivec", "vsx", "fp32", 64),
    ("vx vxe", "vx", "fp32", 16), ("ase_msa", "msa", "fp32", 16),
])  # fmt: skip
def test_rates_assumed_from_flags(flags: str, isa: str, dtype: str, flops: float) -> None:
    found = [one for one in assumed_rates(flags.split()) if (one.isa, one.dtype) == (isa, dtype)]
    assert [one.flops_per_cycle for one in found] == [flops]
    assert (found[0].how or "").startswith("assumed")


@pytest.mark.parametrize("name", [name for name, one in catalog.architectures().items() if one.kind == "cpu"])
def test_no_catalogued_core_is_above_what_its_flags_assume(name: str) -> None:
    """Whatever flags of a core a system shows, the rates that they assume are an upper bound of its vector rates."""
    rates = catalog.architecture(name).rates
    isas = {rate.isa.partition("-")[0] for rate in rates} | {"avx"} & {
        rate.isa[:3].replace("fma", "avx") for rate in rates
    }
    flags = {flag for isa in isas for either in NEEDED.get(isa, ()) for flag in either.split("|")}
    assumed = assumed_rates(flags)
    for dtype in ("fp32", "fp64"):
        widest = max(
            (rate.flops_per_cycle for rate in rates if (rate.engine, rate.dtype) == ("vector", dtype)), default=0
        )
        assert widest <= max((one.flops_per_cycle for one in assumed if one.dtype == dtype), default=4)


def test_assumed_rates_have_one_of_each_kind() -> None:
    flags = "fpu sse sse2 avx avx2 fma avx512f avx512_fp16 avx512_bf16 amx_tile amx_bf16 amx_int8 amx_fp16"
    found = [(one.engine, one.isa, one.dtype) for one in assumed_rates(flags.split())]
    assert len(set(found)) == len(found)
    assert not {isa for _, isa, _ in found} & {"sse", "sse2", "avx", "scalar"}


def test_the_highest_of_several_architectures_is_assumed(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("catalog")
    (folder / "architectures").mkdir()
    for name, flops, steppings in (("slow", 8, ""), ("fast", 32, ""), ("later", 16, ", steppings: [9]")):
        (folder / "architectures" / f"{name}.yaml").write_text(
            f"title: {name}\nvendor: V\nkind: cpu\nunit: core\nreleased: '2020'\nsources: []\n"
            f"cpuid: [{{vendor: V, family: 1, models: [2]{steppings}}}]\n"
            f"rates: [{{engine: vector, isa: sse2, dtype: fp32, flops_per_cycle: {flops}}}]\n"
        )
    monkeypatch.setenv("HWBENCH_CONFIGS", str(folder))
    found = match(CoreClass(identity=Identity("V", 1, 2, 3)), ("sse2",))
    assert (found.architecture, found.how) == ("fast", "assumed")
    assert [(doubt.code, doubt.data) for doubt in found.notices] == [
        ("model-ambiguous", {"title": "fast", "others": ["slow"]})
    ]
    exact = match(CoreClass(identity=Identity("V", 1, 2, 9)), ("sse2",))
    assert (exact.architecture, exact.how, exact.notices) == ("later", "derived", ())
    assert match(CoreClass(name="E-core", identity=Identity("V", 1, 2, 3)), ("sse2",), 1).architecture == "fast"


def units(name: str, boost: float) -> Units:
    return Units(architecture=name, count=1, clock=Clock(boost=Hertz(boost)), name=name)


def test_classes_pair_by_name_then_by_rank() -> None:
    device = Device(title="d", kind="cpu", vendor="v", units=(units("little", 1e9), units("big", 2e9)))
    by_name = same_classes(device, (CoreClass("big"), CoreClass("little")))
    by_rank = same_classes(device, (CoreClass("P-core"), CoreClass("E-core")))
    assert by_name == {"big": device.units[1], "little": device.units[0]}
    assert by_rank == {"P-core": device.units[1], "E-core": device.units[0]}
    assert same_classes(device, (CoreClass("x"),)) == {"x": device.units[1]}
    assert same_classes(device, (CoreClass("x"), CoreClass("y"), CoreClass("z"))) is None


def test_macos_flags_have_the_names_of_linux() -> None:
    values = macos.parse_sysctl(
        "machdep.cpu.features: FPU SSE4.2 AVX1.0 FMA VMM\nmachdep.cpu.leaf7_features: AVX2 AVX512F AVX512VNNI\nnonsense"
    )
    assert macos.flags(values) == ("fpu", "sse4_2", "avx", "fma", "hypervisor", "avx2", "avx512f", "avx512_vnni")
    assert macos.flags({"hw.optional.arm.FEAT_BF16": "1", "hw.optional.arm.FEAT_SME": "0"}) == ("bf16",)


def test_a_mac_is_asked_only_where_it_runs(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any) -> None:
    empty = Files(str(tmp_path_factory.mktemp("empty")))
    asked: list[Any] = []

    def answer(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        if len(asked) > 1:
            raise FileNotFoundError(command[0])
        return subprocess.CompletedProcess(command, 1, b"hw.ncpu: 6\nhw.physicalcpu: 6\nhw.l2cachesize: \xff\n")

    monkeypatch.setattr(subprocess, "run", answer)
    assert macos.read(empty, live=False) is None
    assert asked == []
    found = macos.read(empty, live=True)
    assert found is not None
    assert (found.logical, found.classes[0].cores, found.caches, found.hypervisor) == (6, 6, (), None)
    assert macos.read(empty, live=True) is None


def test_a_mac_with_more_levels_than_two() -> None:
    values = {f"hw.perflevel{level}.physicalcpu": "2" for level in range(3)}
    found = macos._performance_levels({**values, "machdep.cpu.brand_string": "Apple M9"})
    assert [(one.name, one.cores, one.identity.model) for one in found] == [
        ("level 0", 2, None), ("level 1", 2, None), ("level 2", 2, None),
    ]  # fmt: skip
