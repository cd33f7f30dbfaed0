"""Bytes that a run holds: weights, gradients, values of an optimizer, and activations at their peak."""

from msgspec import Struct


class Activations(Struct, frozen=True, omit_defaults=True):
    """What a run holds at its peak beside its weights: of each sample, and what does not grow with the batch.

    Elements take the size of the run's dtype; those of another size (indices, masks, all of mixed precision) are bytes.
    """

    elements: int = 0
    fixed_bytes: int = 0
    constant_elements: int = 0
    constant_bytes: int = 0

    def size(self, bits: int, samples: int) -> int:
        """Return the bytes of so many samples at `bits` an element."""
        elements = self.elements * samples + self.constant_elements
        return -(-elements * bits // 8) + self.fixed_bytes * samples + self.constant_bytes


class MemoryUse(Struct, frozen=True):
    """Bytes that a run holds. `peak_bytes` are those at once: gradients grow while activations shrink.

    `activations_bytes` are the inputs and all that the run makes from them, at their peak, freed when nothing refers to
    them; None where lifetimes are not known.
    """

    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int | None
    peak_bytes: int | None
