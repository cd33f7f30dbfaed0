"""LLVM's assembly of modules, in which tests look for instructions."""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir


def assembly(module: ir.Module, triple: str, cpu: str = "", features: str = "") -> str:
    """Return LLVM's assembly of a module for any target, this machine's or another's."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module.triple = triple
    parsed = llvm.parse_assembly(str(module))
    machine: Any = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features, opt=3)
    return str(machine.emit_assembly(parsed))
