"""Check the catalog's networks against their published counts."""

from hwbench.errors import InputError
from hwbench.files import folders
from hwbench.workload import load
from hwbench.workload.ops import Workload


def lint() -> tuple[list[str], int]:
    """Return one line per fault, and how many networks were checked."""
    faults: list[str] = []
    paths = folders.files("models")
    for path in paths.values():
        try:
            faults += [f"{path}: {fault}" for fault in lint_workload(load.load(path))]
        except InputError as error:
            faults.append(str(error))
    return [*faults, *folders.lint_names("models")], len(paths)


def lint_workload(workload: Workload) -> list[str]:
    """Return the faults of one network."""
    published = workload.published
    if published is None:
        return ["has no published counts"]
    pairs = (("parameters", workload.params, published.params), ("MACs", workload.macs, published.macs))
    return [f"{ours} {what}, published are {theirs}" for what, ours, theirs in pairs if ours != theirs]
