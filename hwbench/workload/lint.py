"""What is wrong with the catalog's networks beyond their form: counts that are not the published ones."""

from hwbench.errors import InputError
from hwbench.files import folders
from hwbench.workload import load
from hwbench.workload.ops import Workload


def lint() -> tuple[list[str], int]:
    """One line a fault, and how many networks were checked."""
    faults: list[str] = []
    paths = folders.files("models")
    for path in paths.values():
        try:
            faults += [f"{path}: {fault}" for fault in lint_workload(load.load(path))]
        except InputError as error:
            faults.append(str(error))
    return [*faults, *folders.lint_names("models")], len(paths)


def lint_workload(workload: Workload) -> list[str]:
    """Faults of one network."""
    told = workload.published
    if told is None:
        return ["has no published counts"]
    pairs = (("parameters", workload.params, told.params), ("MACs", workload.macs, told.macs))
    return [f"{ours} {what}, published are {theirs}" for what, ours, theirs in pairs if ours != theirs]
