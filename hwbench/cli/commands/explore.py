"""`hwbench explore`."""

import webbrowser

import click

from hwbench import explore as local_page
from hwbench.cli import options, output


@options.command()
@click.argument("model", required=False, shell_complete=options.complete("models"))
@click.argument("devices", nargs=-1, metavar="[DEVICE]...", shell_complete=options.complete("devices"))
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port [default: any free one].")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen at.")
@click.option("--no-browser", is_flag=True, help="Print the page's address without opening it.")
def explore(model: str | None, devices: tuple[str, ...], port: int, host: str, no_browser: bool) -> None:
    """Serve the answers on a local page with sliders, until Ctrl-C.

    The page begins with MODEL and DEVICE, which are of the catalog. Only this machine reaches it unless --host says
    otherwise; nothing is sent elsewhere. It needs an extra: pip install "hwbench[explore]".

    \b
    Examples:
      hwbench explore
      hwbench explore resnet50 rtx3090 rtx4090
      hwbench explore --port 8000 --no-browser
    """

    def ready(address: str) -> None:
        output.write(f"hwbench explore at {address} (Ctrl-C ends it)\n")
        if not no_browser:
            webbrowser.open(address)

    local_page.explore([model] if model else [], devices, host, port, ready)
