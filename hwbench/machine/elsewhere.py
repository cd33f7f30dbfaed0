"""What devices are called elsewhere: CPUs by the operating system, those of cloud instances by the cloud."""

import os
import re
from collections.abc import Callable
from contextlib import suppress

from hwbench.errors import InputError, shown
from hwbench.files import content, folders, names

_NOISE = (
    r"\((r|tm|c)\)|[®™©]", r"\s@.*$", r"\s(w/|with)\s(?!max-q).*$", r"\b\d+(st|nd|rd|th) gen\b", r"\b(cpu|processor)\b",
    r"\srev\s[\d.]+$", r"(?<=\d)\s0(?=\s|$)", r"\b(\d+|dual|triple|quad|six|eight|twelve|sixteen)[- ]cores?\b",
    r"\boam\b", r"(?<=ryzen \d )pro\b", r"\((radv|nvgpu|virtual)[^)]*\)", r"\svf$",
    r"\b(engineering reference )?developer kit\b", r"^(macbook( air| pro)?|mac (mini|studio|pro)|imac)\s",
)  # fmt: skip
_VENDORS = ("intel", "amd", "apple", "nvidia", "grid")

MemoryOf = Callable[[str], float]
"""Gives the bytes of memory of a device of the catalog, 0 where they are unknown."""

_COUNT = r"^(gpu_)?\d{1,3} ?[x×][ _]?(?=[a-z])"
_MEMORY = r"(?<![0-9.])(\d{1,3}) ?gb\b"

INSTANCES = {
    "p2": "k80", "p3": "v100-sxm2", "p3dn": "v100-sxm2-32gb", "p4d": "a100-sxm4-40gb", "p4de": "a100-sxm4-80gb",
    "p5": "h100-sxm", "p5e": "h200", "p5en": "h200", "p6-b200": "b200", "p6-b300": "b300",
    "p6e-gb200": "gb200", "p6e-gb300": "gb300", "g3": "m60", "g4dn": "t4", "g5": "a10g",
    "inf1": "inferentia", "inf2": "inferentia2", "trn1n?": "trainium", "trn2u?": "trainium2", "trn3u?": "trainium3",
    "dl1": "gaudi", "ct4p-hightpu": "tpu-v4", "ct5lp-hightpu": "tpu-v5e", "ct5p-hightpu": "tpu-v5p",
    "ct6e-standard": "tpu-v6e", "tpu7x-standard": "tpu7x", "g6": "l4", "gr6": "l4", "g6e": "l40s",
    "r4": "xeon-e5-2686v4", "[cmr]6i": "xeon-platinum-8375c", "[cmr]6a": "epyc-7r13", "[cmr]7a": "epyc-9r14",
    "[cmr]6gd?|t4g": "graviton2", "[cmr]7gd?": "graviton3", "[cmr]8gd?": "graviton4",
    "a2-(high|mega)gpu": "a100-sxm4-40gb", "a2-ultragpu": "a100-sxm4-80gb", "a3-(high|mega|edge)gpu": "h100-sxm",
    "a3-ultragpu": "h200", "a4-highgpu": "b200", "g2-standard": "l4",
    "a4x-highgpu": "gb200", "g4-standard": "rtx-pro-6000-blackwell-server",
    r"v4-\d+": "tpu-v4", "v5litepod": "tpu-v5e", r"v5p-\d+": "tpu-v5p", r"v6e-\d+": "tpu-v6e",
    r".*nc\d+as_t4_v3": "t4", r".*nc\d+r?s_v3": "v100-pcie", r".*nc\d+ads_a100_v4": "a100-pcie-80gb",
    r".*nc\d+adi?s_h100_v5": "h100-nvl", r".*nd\d+asr_v4": "a100-sxm4-40gb", r".*nd\d+amsr_a100_v4": "a100-sxm4-80gb",
    r".*nd\d+isr_h100_v5": "h100-sxm", r".*nd\d+isr_h200_v5": "h200", r".*nd\d+isr?_mi300x_v5": "mi300x",
    r".*nd\d+isr_(?:ndr_)?gb200_v6": "gb200", r".*nd\d+isr_gb300_v6": "gb300",
    r"bm\.gpu4": "a100-sxm4-40gb", r"bm\.gpu\.a100-v2": "a100-sxm4-80gb", r"[bv]m\.gpu\.a10": "a10",
    r"bm\.gpu\.h100": "h100-sxm", r"bm\.gpu\.h200": "h200", r"bm\.gpu\.b200": "b200", r"bm\.gpu\.gb200": "gb200",
    r"bm\.gpu\.l40s": "l40s", r"bm\.gpu\.mi300x": "mi300x",
}  # fmt: skip
"""The card or CPU of cloud instances by the first part of their name, where it is always the same. From the pages of
instance types of Amazon EC2 (docs.aws.amazon.com/ec2/latest/instancetypes), Google Cloud
(cloud.google.com/compute/docs/gpus), Azure (learn.microsoft.com/azure/virtual-machines/sizes) and Oracle
(docs.oracle.com/iaas/Content/Compute/References/computeshapes.htm)."""

_SIZES_OF_CPUS = r"(?:[cmr]\d\w*|t4g)\..*"
_WHOLE_CPUS = r"[cmr][67]gd?\.(?:16xlarge|metal)|[cmr]8gd?\.(?:24xlarge|metal-24xl)"
"""Instances that are one CPU; other sizes are a part of one or several. Of GPUs, an instance is one of its cards."""

_HERE = ("cpu", "here", "local", "localhost", "this")
_OTHER_KINDS = r"dl2|ipu|npu|edge.?tpu|coral|hailo|cerebras|groq|wse|ascend|tenstorrent|wormhole|blackhole"


def named_otherwise(name: str, error: InputError, tables: folders.Tables, memory: MemoryOf) -> str:
    """Return the path of the device whose brand a name is, as `/proc/cpuinfo` has it, or of a cloud instance's device.

    Raises the error of a device that the catalog lacks, with the CPU of a cloud instance if the name is one's size.
    """
    text = f"There is no device named '{shown(name)}'."
    meant = _meant(name, tables, memory)
    if len(meant) > 1:
        raise InputError("ambiguous-device", f"There are several devices named '{shown(name)}'.", nearest=meant)
    if meant and not re.match(_COUNT, name.lower()):
        return folders.files("devices")[meant[0]]
    if device := of_instance(name):
        if not re.fullmatch(_SIZES_OF_CPUS, name.lower()) or re.fullmatch(_WHOLE_CPUS, name.lower()):
            return folders.files("devices")[device]
        hint = "The catalog has the CPUs of cloud instances, whole and each by itself."
        raise InputError(error.code, f"{text} {hint}", nearest=(device,))
    if name.lower() in _HERE:
        raise InputError(error.code, f"{text} This machine is host.", nearest=("host",))
    if re.match(_OTHER_KINDS, name.lower()):
        hint = "Of accelerators the catalog has TPUs, Gaudi, Trainium and Inferentia."
        raise InputError(error.code, f"{text} {hint}")
    if meant or "," in name:
        hint = "Devices are named one by one: after `hwbench compare`, or by `--device` again in `hwbench sweep`."
        raise InputError(error.code, f"{text} {hint}", nearest=meant or error.nearest)
    if any(folders.locate(kind, name) for kind in ("models", "language")):
        raise InputError(error.code, f"'{shown(name)}' is a model, not a device.")
    if not error.nearest and (path := folders.locate("architectures", name)):
        raise InputError(error.code, f"'{shown(name)}' is an architecture, not a device.", nearest=_with_cores(path))
    likest = _begins(name, tables, memory) or _likest(name)
    raise InputError(error.code, text, nearest=likest) if likest else error


def _meant(name: str, tables: folders.Tables, memory: MemoryOf) -> tuple[str, ...]:
    """Return the devices that a name leaves open, a single one where it is clear, none for an unknown name."""
    known = tables.spellings()
    single = re.sub(_COUNT, "", name.lower()[:200])
    spellings = sorted({names.key(single), *brand_keys(single), *_keys(single)} - {""})
    if device := next((known[key] for key in spellings if tables.file(known.get(key, ""))), None):
        return (device,)
    numbered = (spelling for spelling in spellings if any(c.isdigit() for c in spelling))
    several = (folders.variants(known, spelling) for spelling in numbered)
    if choices := next((choices for choices in several if len(choices) > 1), ()):
        return choices
    return _of_parts(single, known) if "/" in single else _of_memory(single, known, memory)


def _of_parts(name: str, known: dict[str, str]) -> tuple[str, ...]:
    """Return the devices of a name that stands for several: `AMD Instinct MI250X / MI250`."""
    first, *others = (part.strip() for part in name.split("/"))
    family = re.match(r"[a-z() ]*(?= [a-z]*\d)", first)
    parts = [first, *(f"{family[0] if family else ''} {part}" for part in others)]
    stems = (known[spelling] for part in parts for spelling in sorted(brand_keys(part)) if spelling in known)
    return tuple(dict.fromkeys(stems))


def _of_memory(name: str, known: dict[str, str], memory: MemoryOf) -> tuple[str, ...]:
    """Return the devices of a name that have the size of memory in it: `RTX 4090 24GB`."""
    if (stated := re.search(_MEMORY, name)) is None:
        return ()
    size = int(stated[1])
    spellings = _keys(re.sub(rf"{_MEMORY}|\b(hbm|gddr)\d\w*|[()]", " ", name))
    exact = (known[spelling] for spelling in spellings if spelling in known)
    others = (stem for spelling in spellings for stem in folders.variants(known, spelling))
    for stems in (exact, others):
        sizes = {stem: memory(stem) for stem in stems}
        if fitting := tuple(stem for stem, own in sizes.items() if size in (round(own / 1e9), own / 2**30)):
            return fitting
    return ()


def _begins(name: str, tables: folders.Tables, memory: MemoryOf) -> tuple[str, ...]:
    """Return the device with whose name a longer one begins: a part of a card (`A10-24Q`), a maker's edition of it."""
    if re.search(r"laptop|mobile|max-q|notebook", name.lower()):
        return ()
    for end in reversed([match.start() for match in re.finditer(r"[\s(-]+", name[:200])]):
        if re.search(r"\d", name[:end]) and (meant := _meant(name[:end], tables, memory)):
            return meant[:3]
    return ()


def _likest(name: str) -> tuple[str, ...]:
    """Return what is like a name without its decorations, if it has any; what is `with Max-Q Design` is of laptops."""
    bare = re.sub(_MEMORY, "", _undecorated(name)).strip()
    laptop = re.sub(r"with max-q.*", "laptop gpu", bare)
    if bare == laptop and names.key(bare) == names.key(name):
        return ()
    try:
        return (os.path.splitext(os.path.basename(folders.find("devices", laptop)))[0],)
    except InputError as error:
        return error.nearest


def _with_cores(architecture: str) -> tuple[str, ...]:
    """Return the devices of the architecture in a file, none where they are more than three."""
    stated = re.compile(rf"architecture: {re.escape(os.path.splitext(os.path.basename(architecture))[0])}(?![\w-])")
    paths = folders.files("devices").items()
    devices: list[str] = []
    for stem, path in paths:
        with suppress(InputError):
            devices += [stem] if stated.search(content.read_text(path)) else []
    return tuple(devices) if len(devices) <= 3 else ()


def of_instance(name: str) -> str | None:
    """Return the card or CPU of a cloud instance such as `g5.xlarge`, None where that is not known."""
    first = r"(?:ml\.)?(?:{})(?:[.-].*)?"
    return next((own for kind, own in INSTANCES.items() if re.fullmatch(first.format(kind), name.lower())), None)


def brand_keys(brand: str) -> frozenset[str]:
    """Return spellings that the catalog may have of a brand such as `Intel(R) Core(TM) i9-10940X CPU @ 3.30GHz`."""
    keys = _keys(brand)
    if numbered := re.fullmatch(r"(?:xeon)?(\d{4}[lw]?)(v\d)", min(keys, key=len)):  # as people write Xeon E5-2680 v4
        keys.add(f"xeone5{numbered[1]}{numbered[2]}")
    return frozenset(key for key in keys if len(key) > 3 and any(c.isdigit() for c in key))


def _keys(brand: str) -> set[str]:
    """Return the keys of a brand without what is no part of a name, with its vendor and without."""
    words = _undecorated(brand).split()
    bare = words[1:] if words[:1] and words[0] in _VENDORS else words
    return {names.key(" ".join(words)), names.key(" ".join(bare))}


def _undecorated(name: str) -> str:
    text = name.lower()[:200]
    for noise in _NOISE:
        text = re.sub(noise, " ", text)
    return " ".join(text.split())
