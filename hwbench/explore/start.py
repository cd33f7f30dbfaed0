"""`explore`: serve the page until an interrupt."""

from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from hwbench.errors import InputError

DEFAULTS = {"model": "alexnet", "device": "rtx3090"}


def explore(
    models: Sequence[str],
    devices: Sequence[str],
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[str], None] = lambda address: None,  # noqa: ARG005
) -> None:
    """Serve the page until an interrupt; it begins with models and devices of the catalog.

    `ready` is called with the page's address; port 0 is any free one. Raises InputError for unknown names, a port that
    is taken, and without the packages of the extra.
    """
    try:
        from hwbench.explore import question, server  # whose packages are an extra
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("hwbench"):
            raise
        message = f'The page needs the package {error.name}: pip install "hwbench[explore]".'
        raise InputError("missing-extra", message) from None
    fields = [*(("model", name) for name in models), *(("device", name) for name in devices)]
    if fields:
        missing = [(field, name) for field, name in DEFAULTS.items() if field not in dict(fields)]
        question.parse([*fields, *missing])
    server.serve(host, port, urlencode(fields), ready)
