"""Which measurement of which run describes a machine: the best-graded one, doubtful ones last and named."""

from pathlib import Path
from typing import Any

import msgspec

from hwbench.measure import store
from hwbench.measure.analysis.evidence import Evidence, best, completed, doubts, saved, sources
from hwbench.measure.record import Measurement, Record, Sample
from hwbench.measure.subject import WorkingSet
from hwbench.notices import notice
from tests.measure.analysis.runs import run

OLD, NEW, NEWEST = (f"2026010{day}-120000-000-aaaaaa" for day in (1, 2, 3))


def rate(value: float, spread: float = 0.001, **changes: Any) -> Measurement:
    """A measurement of nine samples within ± `spread`, which gives its grade: A to 1 %, B to 2 %, C to 5 %."""
    steps = (0, -1, 0.75, -0.5, 1, -0.75, 0.5, -0.25, 0.25)
    samples = tuple(Sample(1 / (value * (1 + spread * step)), 1, 1 / value) for step in steps)
    usual: dict[str, Any] = {"kernel": "fma", "variant": "throughput", "isa": "avx2", "dtype": "fp32", "checked": True}
    return Measurement(unit="FLOP/s", work=1.0, samples=samples, **{**usual, **changes})


def disturbed(one: Record) -> Record:
    return msgspec.structs.replace(one, notices=(notice("other-work", share=0.8),))


def chosen(evidence: tuple[Evidence, ...]) -> list[tuple[str, str, str | None]]:
    return [(each.run, each.grade, each.doubt) for each in evidence]


def test_the_best_grade_counts_and_the_newest_of_equal_ones() -> None:
    runs = [run(rate(2, 0.015), identity=NEWEST), run(rate(1), identity=NEW), run(rate(3), identity=OLD)]
    assert chosen(best(runs)) == [(NEW, "A", None)]
    assert chosen(best(runs[:1])) == [(NEWEST, "B", None)]
    assert best([]) == ()


def test_interrupted_disturbed_and_poor_measurements_come_last() -> None:
    sound = run(rate(1, 0.04), identity=OLD)
    doubtful = [
        run(rate(2, stopped="interrupted"), identity=NEW),
        disturbed(run(rate(2), identity=NEW)),
        run(rate(2, 0.3), identity=NEW),
        run(msgspec.structs.replace(rate(2), samples=rate(2).samples[:1]), identity=NEW),
    ]
    reasons = ["interrupted", "disturbed", "poor", "poor"]
    for other, why in zip(doubtful, reasons, strict=True):
        assert chosen(best([other, sound])) == [(OLD, "C", None)], why
        assert [each.doubt for each in best([other])] == [why]
        (doubt,) = doubts(best([other]))
        assert (doubt.code, doubt.data) == ("ceilings-doubtful", {"runs": (NEW,), "why": why, "kernels": ["fma"]})
    assert doubts(best([sound])) == []
    assert best([run(rate(2, checked=False))]) == best([run(rate(2, where="gpu"))]) == ()


def test_a_doubtful_library_is_no_ceiling_beside_a_sound_one() -> None:
    """All libraries and sizes make one ceiling, which is the fastest that can be relied on."""
    slow = rate(1, kernel="matmul", variant="numpy", isa=None, size="512x512x512")
    fast = rate(9, 0.3, kernel="matmul", variant="torch", isa=None, size="1024x1024x1024")
    double = msgspec.structs.replace(fast, dtype="fp64")
    evidence = best([run(slow, fast, double)])
    assert {(each.measurement.variant, each.measurement.dtype) for each in evidence} == {
        ("numpy", "fp32"), ("torch", "fp64")
    }  # fmt: skip


def test_a_sweep_is_of_one_run() -> None:
    def sweep(spread: float) -> list[Measurement]:
        levels = enumerate(("L1d", "L2"), 1)
        return [
            rate(1, spread, kernel="working-set", variant="read", isa=None, size=str(n), subject=WorkingSet(n, name))
            for n, name in levels
        ]

    runs = [run(*sweep(0.3), identity=NEW), run(*sweep(0.001), identity=OLD)]
    assert chosen(best(runs)) == [(OLD, "A", None)] * 2


def test_a_named_run_is_completed_but_not_replaced() -> None:
    clock = rate(4e9, kernel="clock", variant="avx2", dtype=None)
    pass_ = rate(1, kernel="inference", isa=None)
    own = run(rate(2, 0.04), pass_, identity=NEW)
    other = run(rate(3), clock, identity=OLD)
    whole, evidence = completed(own, [own, other], prefer=True)
    assert chosen(evidence) == [(NEW, "C", None), (OLD, "A", None)]
    assert [item.kernel for item in whole.measurements] == ["fma", "clock", "inference"]
    assert sources(evidence) == (f"{NEW} (fma)", f"{OLD} (clock)")
    _, evidence = completed(own, [own, other], prefer=False)
    assert chosen(evidence) == [(OLD, "A", None)] * 2
    assert sources(evidence) == (OLD,)


def test_saved_runs_are_those_of_the_machine(tmp_path: Path) -> None:
    folder = str(tmp_path)
    for identity, key in ((OLD, "this"), (NEW, "another"), (NEWEST, "this")):
        store.save(run(rate(1), identity=identity, key=key), folder)
    other = run(rate(1), identity="20260103-120000-000-bbbbbb")
    store.save(msgspec.structs.replace(other, environment={**other.environment, "setting": "A=1"}), folder)
    (tmp_path / "20260104-120000-000-dddddd.json").write_text("{broken")
    assert [one.id for one in saved("this", folder)] == [NEWEST, OLD]
    assert list(saved("nobody", folder)) == list(saved("this", str(tmp_path / "no-such-folder"))) == []
