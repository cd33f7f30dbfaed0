"""The store: whole files or none whatever happens, old ones readable, broken ones named."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hwbench.errors import InputError
from hwbench.files import places
from hwbench.measure import store
from hwbench.measure.analysis.results import results
from hwbench.measure.record import SCHEMA, Measurement, Record, Sample
from hwbench.measure.subject import (
    ClockLoad,
    ForwardPass,
    GpuWork,
    LayerSeconds,
    MultiplyAdds,
    PointerChase,
    StreamSize,
    WorkingSet,
)
from hwbench.notices import notice

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "run-1.json"


def a_run(name: str | None = None, kernel: str = "clock", samples: int = 3) -> Record:
    measured = Measurement(
        kernel, "scalar", "Hz", 64.0, tuple(Sample(0.02 + 1e-6 * n, 10**6, 0.02) for n in range(samples))
    )
    return Record(
        id=name or store.new_id(), created="2026-11-24T09:00:00.000+00:00", hwbench_version="0.1.0",
        command=("hwbench", "bench"), environment={"brand": "CPU µ"}, before={"load": [0.5]}, after={},
        measurements=(measured,),
    )  # fmt: skip


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    run = a_run()
    saved, path = store.save(run, str(tmp_path / "new" / "folder"))
    assert saved == run
    assert os.path.basename(path) == f"{run.id}.json"
    assert store.load(path) == run
    assert os.listdir(tmp_path / "new" / "folder") == [f"{run.id}.json"]


def test_the_golden_run_of_schema_1_loads_and_means_what_it_did() -> None:
    """Medians by hand: of the five samples with the least wall time per CPU time."""
    run = store.load(str(GOLDEN))
    assert json.loads(GOLDEN.read_text())["schema"] == "hwbench.run/1"
    values = {one.variant: one.value for one in results(run).results}
    known = {"scalar": 3609911425.83, "sse": 3627206893.42, "avx2": 3615030894.67, "avx512": 3539605738.74}
    assert values == pytest.approx(known, rel=1e-9)
    assert store.decode(store.encode(run)) == run
    assert {one.timer for one in run.measurements} == {"cpu"}
    assert run.measurements[1].subject == ClockLoad(128, "fp32", 12)
    assert run.device is not None
    assert (run.device.title, run.device.units[0].clock.base) == ("AMD EPYC", 2596126000.0)


def _known(tree: Any) -> Any:
    """A tree of JSON without its nulls: what is unknown may be left out, and a later version may leave out more."""
    if isinstance(tree, dict):
        return {key: _known(value) for key, value in tree.items() if value is not None}
    return [_known(value) for value in tree] if isinstance(tree, list) else tree


def test_the_golden_run_of_schema_2_loads_and_means_what_it_did() -> None:
    """A sample a task: values are work over its time."""
    path = ROOT / "tests" / "golden" / "run-2.json"
    run = store.load(str(path))
    assert _known(json.loads(store.encode(run))) == _known(json.loads(path.read_text()))
    derived = results(run)
    values = {(one.kernel, one.variant, one.dtype, one.size, one.unit): one.value for one in derived.results}
    assert values["clock", "avx512", None, None, "Hz"] == pytest.approx(3639e6, rel=1e-3)
    assert values["fma", "throughput", "fp32", None, "FLOP/s"] == pytest.approx(116.3e9, rel=1e-3)
    assert values["stream", "triad-nt", "fp64", None, "B/s"] == pytest.approx(38.48e9, rel=1e-3)
    assert values["cache", "L2", None, None, "B"] == 512 * 1024
    assert len(derived.findings) == 1
    assert [one.code for one in run.notices] == ["other-work"]
    kinds = {type(one.subject) for one in run.measurements}
    assert kinds == {type(None), ClockLoad, MultiplyAdds, StreamSize, PointerChase, WorkingSet}


def test_a_record_of_schema_1_may_lack_a_device_that_makes_sense() -> None:
    data = json.loads(GOLDEN.read_text())
    for device in ({"title": 3}, "text", None):
        data["environment"]["device"] = device
        assert store.decode(json.dumps(data)).device is None


INFERENCE = {
    "kernel": "inference", "variant": "eager", "unit": "s", "work": 1, "dtype": "fp32", "core_class": "gpu",
    "clock": "device", "samples": [{"wall_s": 0.1, "repetitions": 1}],
    "parameters": {"model": "alexnet", "batch": 8, "runtime": "torch-2.9-eager", "device": "cuda", "title": "A card",
                   "layout": "nchw", "flops": 18164097536, "layers": [{"name": "conv1", "seconds": [0.01, 0.02]}]},
}  # fmt: skip
PRODUCT = {
    "kernel": "matmul", "variant": "torch", "unit": "FLOP/s", "work": 1, "core_class": "gpu", "clock": "device",
    "samples": [{"wall_s": 0.1, "repetitions": 1}],
    "parameters": {"device": "cuda", "title": "A card", "peak": 1e13, "under_load": {"clock_hz": 1.7e9}},
}  # fmt: skip


def test_what_schema_1_kept_in_parameters_is_the_subject_of_a_measurement() -> None:
    data = {**json.loads(GOLDEN.read_text()), "measurements": [INFERENCE, PRODUCT]}
    inference, product = store.decode(json.dumps(data)).measurements
    layers = (LayerSeconds("conv1", (0.01, 0.02)),)
    card = ("cuda", "A card")
    assert inference.subject == ForwardPass("alexnet", 8, *card, "torch-2.9-eager", "nchw", 18164097536, layers=layers)
    assert product.subject == GpuWork(*card, peak=1e13, under_load={"clock_hz": 1.7e9})
    assert {(one.timer, one.where, one.core_class) for one in (inference, product)} == {("device", "gpu", None)}


def test_the_schema_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "reference" / "schemas" / "run.json").read_text() == store.schema(), "run `make schema`"


def test_the_schema_speaks_of_every_field() -> None:
    found = json.loads(store.schema())["$defs"]
    for kind in (Record, Measurement, Sample):
        assert set(found[kind.__name__]["properties"]) == set(kind.__struct_fields__)
        assert found[kind.__name__]["description"]


def test_ids_sort_by_time_and_differ() -> None:
    start = datetime(2026, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    moments = [start + timedelta(milliseconds=step) for step in (0, 1, 2, 1001, 60_000, 90_000_000)]
    ids = [store.new_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert ids[0].startswith("20261231-235959-999-")
    assert len({store.new_id(start) for _ in range(200)}) == 200


def test_names_are_those_of_runs_alone(tmp_path: Path) -> None:
    runs = [a_run("20250101-000000-000-aaaaaa"), a_run("20240101-000000-000-bbbbbb")]
    for run in runs:
        store.save(run, str(tmp_path))
    for name in ("README.md", "notes.json", "20250101-000000-000-aaaaaa.json.77.ff.tmp"):
        (tmp_path / name).write_text("{}")
    assert store.names(str(tmp_path)) == [runs[1].id, runs[0].id]
    assert store.names(str(tmp_path / "nowhere")) == []


def test_a_run_is_found_by_id_beginning_path_and_as_latest(tmp_path: Path) -> None:
    old, new = a_run("20240101-000000-000-bbbbbb"), a_run("20250101-000000-000-aaaaaa", kernel="fma")
    for run in (old, new):
        store.save(run, str(tmp_path))
    where = str(tmp_path)
    assert store.load("2024", where) == old
    assert store.load(new.id, where) == new
    assert store.load("LATEST", where) == new
    assert store.load(str(tmp_path / f"{old.id}.json")) == old
    with pytest.raises(InputError) as caught:
        store.load("20", where)
    assert (caught.value.code, len(caught.value.nearest)) == ("ambiguous-run", 2)
    with pytest.raises(InputError) as caught:
        store.load("20250101-000000-000-aaaaab", where)
    assert caught.value.code == "unknown-run"
    assert new.id in caught.value.nearest
    with pytest.raises(InputError) as caught:
        store.load("latest", str(tmp_path / "nowhere"))
    assert caught.value.code == "no-runs"


BROKEN: list[tuple[Any, str, str | None]] = [
    ("", "not-json", None),
    ("{", "not-json", None),
    ("[]", "not-a-run", "schema"),
    ("{}", "not-a-run", "schema"),
    ({"schema": "hwbench.run/0"}, "not-a-run", "schema"),
    ({"schema": "hwbench.peak/1"}, "not-a-run", "schema"),
    ({"schema": 1}, "not-a-run", "schema"),
    ({"schema": "hwbench.run/3"}, "newer-schema", "schema"),
    ({"schema": "hwbench.run/9999"}, "newer-schema", "schema"),
    ({"id": None}, "not-a-run", "id"),
    ({"measurements": 3}, "not-a-run", "measurements"),
    ({"measurements": [{**INFERENCE, "parameters": {"model": 1}}]}, "not-a-run", "measurements[0].subject.model"),
    ({"measurements": [{"kernel": "x"}]}, "not-a-run", "measurements[0]"),
]


@pytest.mark.parametrize(("content", "code", "field"), BROKEN)
def test_a_broken_file_is_named(tmp_path: Path, content: Any, code: str, field: str | None) -> None:
    path = tmp_path / "run.json"
    if isinstance(content, dict):
        content = json.dumps({**json.loads(GOLDEN.read_text()), **content})
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        store.load(str(path))
    assert (caught.value.code, caught.value.file, caught.value.field) == (code, str(path), field)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 100_000])
def test_other_bytes_and_deep_nesting_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        store.load(str(path))
    assert caught.value.file == str(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("wall_s", 0),
        ("wall_s", -1.0),
        ("wall_s", 1e300),
        ("repetitions", 0),
        ("cpu_s", 0.0),
        ("cycles", -1),
        ("process", -1),
    ],
)
def test_samples_that_cannot_be_are_refused(tmp_path: Path, field: str, value: float) -> None:
    data = json.loads(GOLDEN.read_text())
    data["measurements"][0]["samples"][0][field] = value
    with pytest.raises(InputError) as caught:
        store.decode(json.dumps(data))
    assert (caught.value.code, caught.value.field) == ("not-a-run", f"measurements[0].samples[0].{field}")


def test_measurements_without_samples_or_work_are_refused() -> None:
    for change in ({"samples": []}, {"work": 0}, {"work": -1e9}, {"threads": 0}):
        data = json.loads(GOLDEN.read_text())
        data["measurements"][0] |= change
        with pytest.raises(InputError) as caught:
            store.decode(json.dumps(data))
        assert caught.value.code == "not-a-run"


def test_fields_of_a_later_version_of_the_same_schema_are_passed_over() -> None:
    data = json.loads(GOLDEN.read_text())
    data["new"] = data["measurements"][0]["newer"] = 1
    assert store.decode(json.dumps(data)) == store.load(str(GOLDEN))


@pytest.mark.parametrize(
    "data", [{"code": "from-later", "data": {"a": 1}}, {"code": "other-work", "data": {"share": "x"}}]
)
def test_a_notice_without_a_sentence_is_shown_as_it_is(data: dict[str, Any]) -> None:
    record = {**json.loads(store.encode(store.load(str(GOLDEN)))), "notices": [data]}
    (only,) = store.decode(json.dumps(record)).notices
    assert (only.code, only.text) == ("recorded", f"{data['code']} {data['data']}")


def test_old_schemas_are_upgraded_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it will be when schema 3 comes: each step knows its own."""
    golden = store.load(str(GOLDEN))
    monkeypatch.setattr(store, "_VERSION", 3)
    monkeypatch.setattr(store, "UPGRADES", (
        *store.UPGRADES, lambda data: {**data, "notices": [*data["notices"], {"code": "interrupted"}]},
    ))  # fmt: skip
    assert store.decode(GOLDEN.read_text()).notices == (*golden.notices, notice("interrupted"))
    newer = store.encode(golden)
    assert store.decode(newer).notices == (*golden.notices, notice("interrupted"))
    assert store.decode(newer.replace("hwbench.run/2", "hwbench.run/3")).notices == golden.notices


def test_what_bench_wrote_to_standard_output_is_a_run_too() -> None:
    body = {"schema": "hwbench.bench/1", "run": json.loads(GOLDEN.read_text()), "results": []}
    assert store.decode(json.dumps(body)) == store.load(str(GOLDEN))


def test_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HWBENCH_RESULTS", "/else/where")
    assert store.folder("/given") == "/given"
    assert store.folder() == "/else/where"
    monkeypatch.delenv("HWBENCH_RESULTS")
    assert store.folder() == str(ROOT / "results")
    monkeypatch.setattr(places, "shipped", lambda: str(tmp_path / "site-packages" / "hwbench" / "configs"))
    monkeypatch.setenv("XDG_DATA_HOME", "/home/me/data")
    if sys.platform.startswith("linux"):
        assert store.folder() == "/home/me/data/hwbench/results"


# What happens to a file when the machine is against us, for real.


def script(code: str, *arguments: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    """Run Python in a process of its own, with a run `run` and a folder `where` at hand."""
    start = f"""
        import os, signal, sys, resource
        from hwbench.measure import store
        run = store.load({str(GOLDEN)!r})
        where = sys.argv[1]
    """
    program = textwrap.dedent(start) + textwrap.dedent(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        **more,
    )


@pytest.mark.parametrize("place", ["os.fsync", "os.link"])
def test_a_process_that_is_killed_while_it_saves_leaves_nothing_broken(tmp_path: Path, place: str) -> None:
    before = a_run("20240101-000000-000-bbbbbb")
    store.save(before, str(tmp_path))
    done = script(f"{place} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nstore.save(run, where)", str(tmp_path))
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2  # it was in the middle of writing
    assert store.names(str(tmp_path)) == [before.id]
    assert store.load("latest", str(tmp_path)) == before


def test_processes_killed_at_any_moment_leave_only_whole_files(tmp_path: Path) -> None:
    code = """
        import msgspec
        print(flush=True)
        while True:
            store.save(msgspec.structs.replace(run, id=store.new_id()), where)
    """
    start = f"import sys\nfrom hwbench.measure import store\nrun = store.load({str(GOLDEN)!r})\nwhere = sys.argv[1]\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for moment in (0.01, 0.07, 0.2):
        with subprocess.Popen(
            [sys.executable, "-c", start + textwrap.dedent(code), str(tmp_path)],
            stdout=subprocess.PIPE,
            env=environment,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(moment)
            process.kill()
    names = store.names(str(tmp_path))
    assert names
    for name in names:
        assert store.load(name, str(tmp_path)).measurements


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """By a limit on the size of files, which fails in the middle of the write as a full disk does."""
    code = """
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            store.save(run, where)
        except Exception as error:
            print(type(error).__name__, error)
    """
    done = script(code, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("InputError ")
    assert "cannot be written: File too large" in done.stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.getuid() != 0, reason="needs a mount of its own")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    save = f"import sys; from hwbench.measure import store; store.save(store.load({str(GOLDEN)!r}), sys.argv[1])"
    mounted = 'mount -t tmpfs -o size=4k none "$0" && "$1" -c "$2" "$0"; code=$?; ls -A "$0"; exit $code'
    command = ["unshare", "-m", "sh", "-c", mounted, str(tmp_path), sys.executable, save]
    done = script(f"import subprocess\nsys.exit(subprocess.call({command!r}))", str(tmp_path))
    if "InputError" not in done.stderr:
        pytest.skip("mounting is not allowed here")
    assert "cannot be written: No space left on device" in done.stderr
    assert done.stdout == ""  # nothing is left in the folder


@pytest.mark.parametrize("place", ["/proc/nothing/here", "{file}/below"])
def test_a_folder_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    where = place.format(file=tmp_path / "file")
    with pytest.raises(InputError, match="cannot be made: ") as caught:
        store.save(a_run(), where)
    assert caught.value.file == where
    assert store.names(where) == []


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root writes anywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="cannot be written: Permission denied"):
        store.save(a_run(), str(tmp_path))


def test_two_runs_saved_at_once_are_two_files(tmp_path: Path) -> None:
    import threading

    runs = [a_run(samples=2000) for _ in range(8)]
    threads = [threading.Thread(target=store.save, args=(run, str(tmp_path))) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {store.load(name, str(tmp_path)).id for name in store.names(str(tmp_path))} == {run.id for run in runs}
    assert len(os.listdir(tmp_path)) == 8


def test_no_run_replaces_another_of_the_same_id(tmp_path: Path) -> None:
    first = a_run("20260101-000000-000-aaaaaa")
    runs = [msgspec.structs.replace(first, created=f"run {number}") for number in range(3)]
    saved = [store.save(run, str(tmp_path)) for run in runs]
    assert saved[0] == (runs[0], str(tmp_path / f"{first.id}.json"))
    assert len({run.id for run, _ in saved}) == 3
    for (run, path), asked in zip(saved, runs, strict=True):
        assert os.path.basename(path) == f"{run.id}.json"
        assert run.id[:20] == first.id[:20]
        assert store.load(path) == run == msgspec.structs.replace(asked, id=run.id)


def test_latest_is_the_run_saved_last_and_a_notice_reports_a_later_id(tmp_path: Path) -> None:
    """The clock was a year ahead for the first run, whose file is of that time too, and was then set back."""
    ahead, now = a_run("20270101-000000-000-aaaaaa"), a_run("20260101-000000-000-bbbbbb")
    where = str(tmp_path)
    _, path = store.save(ahead, where)
    os.utime(path, (4e9, 4e9))
    assert store.load("latest", where) == ahead
    for number in range(2):
        last = msgspec.structs.replace(now, id=f"20260101-00000{number}-000-bbbbbb")
        store.save(last, where)
        loaded = store.load("latest", where)
        assert (loaded.id, [one.code for one in loaded.notices]) == (last.id, ["later-id"])
        assert loaded.notices[0].data == {"id": last.id, "later": ahead.id}
    assert store.load(last.id, where) == last
    store.rename(ahead.id, "ahead", where)  # which writes its file anew, but does not save another run
    assert store.load("latest", where).id == last.id
    after = a_run("20270101-000000-001-cccccc")
    store.save(after, where)
    assert store.load("latest", where) == after


def test_a_folder_is_tried_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store.prepare(str(tmp_path / "new" / "folder"))
    assert os.listdir(tmp_path / "new" / "folder") == []
    for place in ("/proc/nothing/here", str(tmp_path / "file"), str(tmp_path / "file" / "below")):
        with pytest.raises(InputError) as caught:
            store.prepare(place)
        assert caught.value.code == "not-writable"
    code = """
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            store.prepare(where)
        except Exception as error:
            print(error.code)
    """
    done = script(code, str(tmp_path / "new"))
    assert (done.stdout, os.listdir(tmp_path / "new")) == ("not-writable\n", ["folder"])


def test_a_record_is_json_of_plain_numbers() -> None:
    run = a_run()
    assert json.loads(store.encode(run))["schema"] == SCHEMA
    assert msgspec.json.decode(store.encode(run), type=Record) == run


def test_a_run_is_found_by_the_name_that_it_was_given(tmp_path: Path) -> None:
    where = str(tmp_path)
    first, second = a_run(), a_run()
    for run in (first, second):
        store.save(run, where)
    path = store.rename(first.id, "before", where)
    assert store.find("before", where) == path == str(tmp_path / f"{first.id}.json")
    assert store.load("before", where) == msgspec.structs.replace(first, name="before")
    assert store.rename("before", "before", where) == path
    for run, name, code in ((second.id, "before", "name-taken"), (second.id, "latest", "bad-name"),
                            (second.id, "20261124-1", "bad-name"), (second.id, "a/b", "bad-name"),
                            ("nobody", "after", "unknown-run")):  # fmt: skip
        with pytest.raises(InputError) as caught:
            store.rename(run, name, where)
        assert caught.value.code == code


def test_only_saved_runs_are_removed(tmp_path: Path) -> None:
    where, other = str(tmp_path), tmp_path / "other.json"
    run = a_run()
    store.save(run, where)
    other.write_text("{}")
    with pytest.raises(InputError):
        store.remove(str(other), where)
    assert other.exists()
    broken = tmp_path / f"{store.new_id()}.json"
    broken.write_text("{broken")
    assert store.remove(broken.stem, where) == str(broken)
    assert store.remove(run.id[:20], where) == str(tmp_path / f"{run.id}.json")
    assert store.names(where) == []
    with pytest.raises(InputError) as caught:
        store.remove(run.id, where)
    assert caught.value.code == "no-runs"
