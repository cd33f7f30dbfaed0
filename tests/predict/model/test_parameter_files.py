"""Files of parameters from somebody: complete, in range, and read anew when they change."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwbench.errors import InputError
from hwbench.predict.model import parameters

REQUIRED = parameters.CpuParameters.__struct_fields__[: -len(parameters.CpuParameters.__struct_defaults__)]


def written(folder: Path, change: Callable[[Any], object]) -> str:
    data = json.loads(Path(parameters.PATH).read_text())
    change(data["runtimes"]["torch-eager-cpu"])
    path = folder / "p.json"
    path.write_text(json.dumps(data))
    return str(path)


def test_the_shipped_file_is_valid() -> None:
    assert parameters.read(parameters.PATH) == parameters.parameters()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda r: r["cpu"]["compute"].pop("linear"), "cpu.compute.linear"),
        (lambda r: r["cpu"]["per_element"].pop("image_norm"), "cpu.per_element.image_norm"),
        (lambda r: r["cpu"].update(lane=0.0), "cpu.lane"),
        (lambda r: r["cpu"].update(memory=-1.0), "cpu.memory"),
        (lambda r: r["cpu"].update(grain=1e300), "cpu.grain"),
        (lambda r: r["cpu"].update(ragged=1e3), "cpu.ragged"),
        (lambda r: r.update(cpu=None), "cpu.compute"),
        (lambda r: r["spread"].update(low=1e3), "spread.low"),
    ],
)
def test_what_is_missing_or_out_of_range_is_refused(
    tmp_path: Path, change: Callable[[Any], object], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        parameters.read(written(tmp_path, change))
    assert (caught.value.field or "").startswith(f"runtimes.torch-eager-cpu.{field}")


@pytest.mark.parametrize(
    ("part", "name", "most", "beyond"),
    [
        ("cpu", "grain", 1e18, 1.1e18),
        ("cpu", "lane", 1e-18, 0.9e-18),
        ("cpu", "ragged", 10.0, 10.5),
        ("cpu", "fusion", 0.0, -0.1),
        ("spread", "low", 50.0, 50.5),
        ("spread", "device", -50.0, -50.5),
    ],
)
def test_ranges_end_where_they_say(tmp_path: Path, part: str, name: str, most: float, beyond: float) -> None:
    file = parameters.read(written(tmp_path, lambda r: r[part].update({name: most})))
    assert getattr(getattr(file.runtimes["torch-eager-cpu"], part), name) == most
    with pytest.raises(InputError) as caught:
        parameters.read(written(tmp_path, lambda r: r[part].update({name: beyond})))
    assert caught.value.field == f"runtimes.torch-eager-cpu.{part}.{name}"


def test_a_wrong_type_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        parameters.read(written(tmp_path, lambda r: r["cpu"].update(lane="x")))
    assert (caught.value.code, "cpu.lane" in (caught.value.field or "")) == ("not-parameters", True)


def test_what_a_file_may_leave_out(tmp_path: Path) -> None:
    """Parameters that no measurement has told yet change nothing: none of it, or all."""
    factors = parameters.PartFactors()
    assert (factors.compute, factors.memory, factors.overhead) == (1, 1, 1)
    standard = parameters.parameters().runtimes["torch-eager-cpu"]
    assert standard.cpu is not None
    given = {name: getattr(standard.cpu, name) for name in REQUIRED}
    cpu = parameters.CpuParameters(**given)
    assert (cpu.fusion, cpu.fresh, cpu.grown, cpu.rereads, cpu.packed) == (0, 0, 0, 0, 1)
    assert (cpu.edge, cpu.clipped, cpu.scores, cpu.thin, cpu.row, cpu.ragged_inputs) == (0, 0, 0, 0, 0, 1)
    assert (cpu.recycled, cpu.moves, cpu.epilogue, cpu.calls, cpu.unfold) == (8 * 2**20, {}, {}, {}, {})
    assert parameters.Runtime("", standard.spread).fuses is False


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    for lane in (0.25, 0.5):
        file = parameters.read(written(tmp_path, lambda r, lane=lane: r["cpu"].update(lane=lane)))
        cpu = file.runtimes["torch-eager-cpu"].cpu
        assert cpu is not None
        assert cpu.lane == lane


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"{}", b"[" * 5000, b'{"schema": 1}', b""])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        parameters.read(str(path))
    assert caught.value.file == str(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_devices_and_pipes_end_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), "/dev/zero"):
        with pytest.raises(InputError):
            parameters.read(path)
