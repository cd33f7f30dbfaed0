"""/proc/cpuinfo, whose form differs with every architecture of CPU, as fields by logical CPU.

Forms: proc_cpuinfo(5) and `show_cpuinfo` of each architecture in the kernel (arch/*/kernel).
"""

import re
from collections.abc import Iterable
from itertools import chain

from msgspec import Struct

from hwbench.machine.host.facts import Identity
from hwbench.machine.host.files import MAX_CPU, whole_number

Fields = dict[str, str]
Cpus = dict[int, Fields]
"""Fields of /proc/cpuinfo by the number of the logical CPU, their names in lower case."""

S390 = re.compile(r"(?:processor|cpu) ([0-9]{1,5})")
"""Names the line of one CPU, `processor 0: version = FF, ..., machine = 8561`, on IBM Z."""


class Cpuinfo(Struct, frozen=True):
    """Blocks by CPU, what stands outside of them (`common`), and whether one CPU's identity stands for all."""

    blocks: Cpus
    common: Fields
    one_identity: bool = False

    def of(self, numbers: Iterable[int]) -> Cpus:
        """Return the fields of CPUs, by number; by rank or by what all blocks say if the numbers are other ones'.

        lxcfs numbers the blocks of a container from 0, and /sys has the machine's own numbers.
        """
        wanted, own = sorted(numbers), sorted(self.blocks)
        if set(wanted) <= self.blocks.keys():
            return {cpu: self.blocks[cpu] for cpu in wanted}
        if len(wanted) == len(own):
            return {cpu: self.blocks[other] for cpu, other in zip(wanted, own, strict=True)}
        shared = set.intersection(*(set(fields.items()) for fields in self.blocks.values())) if own else set()
        fields = dict(shared) if own else self.common
        return {cpu: self.blocks.get(cpu, fields) for cpu in wanted} if fields else {}


def parse_cpuinfo(text: str) -> Cpuinfo:
    """Return the fields of every logical CPU; those outside the CPUs' blocks are every CPU's.

    Older Arm kernels write all `processor` lines and then one identity: that of the CPU that read the file.
    """
    cpus: Cpus = {}
    common: Fields = {}
    current, last, bare = common, common, 0
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon:
            current = common if not line.strip() else current
        elif name in ("processor", "cpu number") and (number := decimal(value)) is not None and number <= MAX_CPU:
            current = last = cpus.setdefault(number, {})
            bare += 1
        elif (numbered := S390.fullmatch(name)) and "=" in value:
            pairs = (part.partition("=") for part in value.split(","))
            cpus.setdefault(int(numbered[1]), {}).update({key.strip(): part.strip() for key, _, part in pairs})
        else:
            current.setdefault(name, value)
    if bare > 1 and "cpu implementer" in last and not any(fields for fields in cpus.values() if fields is not last):
        common |= last
        last.clear()
    blocks = {cpu: {**common, **fields} for cpu, fields in cpus.items()}
    return Cpuinfo(blocks, common, bare > 1 and "cpu implementer" in common)


def identity_of(fields: Fields) -> Identity:
    """Return what a CPU calls itself: vendor, family, model, stepping of x86, implementer and part of Arm, or a name.

    The name of a core is `cpu` on POWER, SPARC and PA-RISC, `uarch` on RISC-V, `Model Name` on LoongArch, `cpu model`
    on MIPS, `machine` on IBM Z.
    """
    if "cpu implementer" in fields:
        implementer, part = hexadecimal(fields["cpu implementer"]), hexadecimal(fields.get("cpu part", ""))
        return Identity(vendor=f"{implementer:#04x}" if implementer is not None else "", model=part)
    if "vendor_id" not in fields or fields["vendor_id"] == "IBM/S390":
        return _named_core(fields)
    family, model, stepping = (decimal(fields.get(name, "")) for name in ("cpu family", "model", "stepping"))
    return Identity(fields["vendor_id"][:40].strip(), family, model, stepping)


def _named_core(fields: Fields) -> Identity:
    if "uarch" in fields or fields.get("isa", "").startswith("rv") or "mvendorid" in fields:
        name = fields.get("uarch") or fields.get("model name", "")
        return Identity(RISCV_VENDORS.get(fields.get("mvendorid", ""), ""), core=name[:80])
    if fields.get("cpu", "").upper().startswith(("POWER", "PPC")):
        return Identity("IBM", core=re.split(r"[ ,(]", fields["cpu"], maxsplit=1)[0][:80])
    if "machine" in fields and fields.get("vendor_id") == "IBM/S390":
        return Identity("IBM/S390", core=f"IBM {fields['machine']}"[:80])
    loongson = "loongson" in fields.get("cpu family", "").lower()
    order = ("model name", "cpu model") if loongson else ("cpu model", "cpu", "model name")
    core = next((fields[name] for name in order if fields.get(name)), "").partition(",")[0]
    return Identity("Loongson" if loongson else fields.get("vendor_id", "")[:40], core=core[:80])


RISCV_VENDORS = {"0x489": "SiFive", "0x5b7": "T-Head", "0x710": "SpacemiT", "0x31e": "Andes", "0x61f": "Tenstorrent"}
"""Companies by JEDEC's number (Linux, arch/riscv/include/asm/vendorid_list.h; SpacemiT's from its boards)."""


def flags_of(blocks: Iterable[Fields]) -> tuple[str, ...]:
    """Return flags that all the CPUs have, in the order of the first: `flags` on x86, `Features` on Arm and others."""
    lists = [flags for fields in blocks if (flags := _flags(fields))]
    if not lists:
        return ()
    shared = set(lists[0]).intersection(*lists[1:])
    return tuple(dict.fromkeys(flag for flag in lists[0] if flag in shared))


def _flags(fields: Fields) -> list[str]:
    """Return the flags of a CPU; letters and extensions of RISC-V's `isa`, MIPS's ASEs and POWER's AltiVec alike.

    IBM Z has a flag `msa` too, of other meaning: those of MIPS are `ase_msa` and so on.
    """
    words = next((fields[name] for name in ("flags", "features") if name in fields), "").split()
    isa = re.fullmatch(r"rv(?:32|64)([a-z]+)((?:_[a-z0-9]+)*)", fields.get("isa", ""))
    riscv = [f"rv{letter}" for letter in isa[1]] + [f"rv{part}" for part in isa[2].split("_") if part] if isa else []
    ases = [f"ase_{name}" for name in fields.get("ases implemented", "").split()]
    altivec = ["altivec"] if "altivec supported" in fields.get("cpu", "") else []
    return list(chain(words, riscv, ases, altivec))


def hexadecimal(text: str) -> int | None:
    """Return a number such as `0xd0c`, None for anything else."""
    try:
        return int(text, 16) if text.lower().startswith("0x") and len(text) < 12 else None
    except ValueError:
        return None


def decimal(text: str) -> int | None:
    """Return a number without sign of less than 10 digits, None for anything else."""
    number = whole_number(text) if len(text) < 10 else None
    return number if number is not None and number >= 0 else None
