"""`hwbench calibrate`."""

import click

from hwbench.api import lookup
from hwbench.cli import options, output
from hwbench.errors import InputError
from hwbench.notices import Notice, notice


@click.command(short_help="Fit the time model to measurements.")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--measurements", multiple=True, metavar="FILE", help="A CSV of measured times; more may follow.")
@click.option("--device", "-d", metavar="D", help="host: time networks here; else the device of files without one.")
@click.option("--show", is_flag=True, help="Show what the parameters in use came of, and fit nothing.")
@click.option("-o", "--output", "path", metavar="FILE", help="Write the parameters to this file.")
@options.json_option
def calibrate(
    files: tuple[str, ...],
    measurements: tuple[str, ...],
    device: str | None,
    show: bool,
    path: str | None,
    as_json: bool,
) -> None:
    """Fit the parameters of the time model to measured step times, and compare them with the shipped ones.

    Families of models are split by a hash of their name: one part is fitted, one sets the intervals, one is reported.
    The same files give the same parameters. The shipped ones came of timm's results, two minutes of work.

    With --device host and no files it times seven networks on this machine (under a minute, needs torch) and keeps
    three factors by which their compute, memory and overhead differ: estimate and run use them for host from then on.

    \b
    Examples:
      hwbench calibrate --show
      hwbench calibrate --show --json

    \b
    With files (a checkout of timm has them), and with a minute of timing:
      $ hwbench calibrate --measurements results/benchmark-infer-*.csv -o parameters.json
      $ hwbench calibrate --device host
    """
    from hwbench.files import documents
    from hwbench.predict.data import tables
    from hwbench.predict.fitting import fit as fitting
    from hwbench.predict.fitting.cases import cases
    from hwbench.predict.model.parameters import dumped, parameters

    if show:
        if path or measurements or files or device:
            raise InputError("fits nothing: it goes with no file and no device", field="--show")
        _show(as_json)
        return
    paths = [*measurements, *files]
    if not paths and device and device.lower() == "host":
        _host(as_json)
        return
    if not paths:
        raise InputError("nothing to fit to: give --measurements FILE, or --device host to time networks here")
    table = tables.read(paths, tables.Defaults(device=device))
    usable, skipped = cases(table)
    found, fits = fitting.calibrated(
        {name: list(some) for name, some in usable.items()}, lambda text: click.echo(text, err=True)
    )
    warnings: list[str | Notice] = list(table.notices)
    if skipped:
        warnings.append(f"{len(skipped)} rows were left out, the first for: {skipped[0].reason}")
    if path:
        documents.write_atomically(path, dumped(found))
    against = fitting.difference(found, parameters(), [fit.name for fit in fits])
    if as_json:
        body = {"file": path, "difference": against, "fits": fits, "parameters": found}
        output.write_json("calibrate", body, tuple(warnings))
        return
    from hwbench.report.text import calibration as report

    output.write_lines(report.lines(fits, against, output.style()), tuple(warnings))


def _show(as_json: bool) -> None:
    """The parameters in use by runtime, and what they came of."""
    from hwbench.predict.model.parameters import parameters

    if as_json:
        output.write_json("calibrate", {"parameters": parameters()})
        return
    from hwbench.report.text import calibration as report

    output.write_lines(report.story(parameters(), output.style()), ())


def _host(as_json: bool) -> None:
    """Time networks on this machine and keep what it does differently from the model."""
    import msgspec

    from hwbench.cli.progress import line
    from hwbench.machine.host.describe import host
    from hwbench.measure import host_calibration
    from hwbench.measure import settings as cpus
    from hwbench.measure.environment import snapshot
    from hwbench.predict.fitting.host import TimedNetwork, factors
    from hwbench.report.text import calibration as report

    machine = host()
    device, notices = lookup.at_measured(machine.device, machine.notices, lookup.saved(machine))
    if not device.memory.bandwidth and not (device.sustained and device.sustained.bandwidth):
        raise InputError("has no known memory bandwidth: run `hwbench bench` first", field="--device")
    settings = cpus.settings(machine)
    before = snapshot.snapshot(settings.cpus)
    with line() as show:
        found = host_calibration.times(settings, lambda share: show(share, "timing networks"))
    told = snapshot.disturbances(before, snapshot.snapshot(settings.cpus))
    if told:
        told.append(notice("calibrated-while-disturbed"))
    warnings: list[str | Notice] = [*notices, *told]
    timed = [TimedNetwork(*one) for one in found]
    kept = factors(timed, device, "torch-eager-cpu")
    path = host_calibration.save(machine, msgspec.to_builtins(kept))
    if as_json:
        rows = [{"model": one.workload.name, "batch": one.batch, "time_s": one.time_s} for one in timed]
        output.write_json("calibrate", {"file": path, "factors": kept, "timed": rows}, warnings)
        return
    output.write_lines(report.host(kept, timed, path, output.style()), warnings)
