"""What a loop reaches of its device: FLOP counted, steps timed, and the three answers for one of its steps."""

from typing import ClassVar

from msgspec import Struct

from hwbench.answers import Answer
from hwbench.notices import Notice


class Utilization(Answer, Struct, frozen=True):
    """Steps of a loop on one device. Values are None where a peak, an amount or enough steps are not known.

    `model_flops` are those of the forward and backward passes of the step that most steps are alike, `hardware_flops`
    with what checkpoints compute again, both two a multiply-add; the optimizer's are in neither. `mfu` is model FLOP
    over time over `peak_flops_per_second`, the dense peak of the `dtype` in which most of them were computed; `hfu`
    the same of hardware FLOP. `time_s` is the median of the steps, `wait_s` of the time between them (loading data).
    `share_left_out` is that of time in steps that are not counted: they compiled, saved, or were disturbed.
    """

    SCHEMA: ClassVar[str] = "utilization"
    MAIN: ClassVar[tuple[str, ...]] = (
        "device", "dtype", "steps", "time_s", "mfu", "hfu", "flops_per_second", "samples_per_s", "tokens_per_s",
    )  # fmt: skip

    device: str
    dtype: str | None
    steps: int
    left_out: int
    share_left_out: float
    time_s: float | None
    wait_s: float | None
    model_flops: int | None
    hardware_flops: int | None
    flops_per_second: float | None
    flops_per_second_interval: tuple[float, float] | None
    interval_level: float
    peak_flops_per_second: float | None
    peak: str | None
    mfu: float | None
    mfu_interval: tuple[float, float] | None
    hfu: float | None
    samples_per_s: float | None
    tokens_per_s: float | None
    bound: str | None
    ideal_time_s: float | None
    roofline_time_s: float | None
    expected_time_s: float | None
    expected_interval_s: tuple[float, float] | None
    notices: tuple[Notice, ...] = ()
