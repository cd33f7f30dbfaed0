"""What an op asks of a machine, and the three ways in which people count it."""

from typing import Literal

from msgspec import Struct

Convention = Literal["flop", "mac", "mac-bias"]
CONVENTIONS: dict[Convention, str] = {
    "flop": "2 per multiply-add of convolution, linear, matmul and attention",
    "mac": "1 per multiply-add",
    "mac-bias": "parameters × output positions, the bias counted as one, as textbooks do",
}


class Work(Struct, frozen=True):
    """Operations and bytes; works add.

    `flops` counts multiply-adds only, two each; arithmetic of elementwise, normalization and pooling ops stands
    apart in `elementwise_flops`. The bytes are those that must cross main memory once, with nothing fused.
    """

    flops: int = 0
    elementwise_flops: int = 0
    input_bytes: int = 0
    weight_bytes: int = 0
    output_bytes: int = 0

    @property
    def traffic(self) -> int:
        """Bytes to and from main memory."""
        return self.input_bytes + self.weight_bytes + self.output_bytes

    @property
    def intensity(self) -> float:
        """FLOP per byte of traffic; 0 where nothing moves."""
        return self.flops / self.traffic if self.traffic else 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.flops + other.flops,
            self.elementwise_flops + other.elementwise_flops,
            self.input_bytes + other.input_bytes,
            self.weight_bytes + other.weight_bytes,
            self.output_bytes + other.output_bytes,
        )
