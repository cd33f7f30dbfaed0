"""What devices are called elsewhere: CPUs by the operating system, those of cloud instances by the cloud."""

import re

from hwbench.errors import InputError, shown
from hwbench.files import folders, names

_NOISE = (
    r"\((r|tm|c)\)|[®™©]", r"\s@.*$", r"\s(w/|with)\s.*$", r"\b\d+(st|nd|rd|th) gen\b", r"\b(cpu|processor)\b",
    r"\srev\s[\d.]+$", r"(?<=\d)\s0(?=\s|$)", r"\b(\d+|dual|triple|quad|six|eight|twelve|sixteen)[- ]cores?\b",
    r"\boam\b", r"(?<=ryzen \d )pro\b",
)  # fmt: skip
_VENDORS = ("intel", "amd", "apple", "nvidia")

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
    r".*nc\d+as_t4_v3": "t4", r".*nc\d+r?s_v3": "v100-pcie", r".*nc\d+ads_a100_v4": "a100-pcie-80gb",
    r".*nc\d+adi?s_h100_v5": "h100-nvl", r".*nd\d+asr_v4": "a100-sxm4-40gb", r".*nd\d+amsr_a100_v4": "a100-sxm4-80gb",
    r".*nd\d+isr_h100_v5": "h100-sxm", r".*nd\d+isr_h200_v5": "h200", r".*nd\d+isr_mi300x_v5": "mi300x",
}  # fmt: skip
"""The card or CPU of cloud instances by the first part of their name, where it is always the same. From the pages of
instance types of Amazon EC2 (docs.aws.amazon.com/ec2/latest/instancetypes), Google Cloud
(cloud.google.com/compute/docs/gpus) and Azure (learn.microsoft.com/azure/virtual-machines/sizes)."""

_SIZES_OF_CPUS = r"(?:[cmr]\d\w*|t4g)\..*"
_WHOLE_CPUS = r"[cmr][67]gd?\.(?:16xlarge|metal)|[cmr]8gd?\.(?:24xlarge|metal-24xl)"
"""Instances that are one CPU; other sizes are a part of one or several. Of GPUs, an instance is one of its cards."""

_HERE = ("cpu", "here", "local", "localhost", "this")
_OTHER_KINDS = r"dl2|ipu|npu|edge.?tpu|coral|hailo|cerebras|groq|wse|ascend|tenstorrent|wormhole|blackhole"


def named_otherwise(name: str, error: InputError, tables: folders.Tables) -> str:
    """Return the path of the device whose brand a name is, as `/proc/cpuinfo` has it, or of a cloud instance's device.

    Raises the error of a device that the catalog lacks, with the CPU of a cloud instance if the name is one's size.
    """
    known, brands = tables.spellings(), brand_keys(name)
    for spelling in sorted(brands & known.keys()):
        if path := tables.file(known[spelling]):
            return path
    for spelling in sorted({names.key(name), *brands} - {""}):
        if len(open_ones := folders.variants(known, spelling)) > 1:
            raise InputError("ambiguous-device", f"There are several devices named '{shown(name)}'.", nearest=open_ones)
    text = f"There is no device named '{shown(name)}'."
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
    if "," in name:
        hint = "Devices are named one by one: after `hwbench compare`, or by `--device` again in `hwbench sweep`."
        raise InputError(error.code, f"{text} {hint}", nearest=error.nearest)
    if any(folders.locate(kind, name) for kind in ("models", "language")):
        raise InputError(error.code, f"'{shown(name)}' is a model, not a device: `--model` names it.")
    raise error


def of_instance(name: str) -> str | None:
    """Return the card or CPU of a cloud instance such as `g5.xlarge`, None where that is not known."""
    first = r"(?:ml\.)?(?:{})(?:[.-].*)?"
    return next((own for kind, own in INSTANCES.items() if re.fullmatch(first.format(kind), name.lower())), None)


def brand_keys(brand: str) -> frozenset[str]:
    """Return spellings that the catalog may have of a brand such as `Intel(R) Core(TM) i9-10940X CPU @ 3.30GHz`."""
    text = brand.lower()[:200]
    for noise in _NOISE:
        text = re.sub(noise, " ", text)
    words = text.split()
    bare = words[1:] if words[:1] and words[0] in _VENDORS else words
    keys = {names.key(" ".join(words)), names.key(" ".join(bare))}
    if numbered := re.fullmatch(r"(?:xeon )?(\d{4}[lw]?) ?(v\d)", " ".join(bare)):  # as people write Xeon E5-2680 v4
        keys.add(f"xeone5{numbered[1]}{numbered[2]}")
    return frozenset(key for key in keys if len(key) > 3 and any(c.isdigit() for c in key))
