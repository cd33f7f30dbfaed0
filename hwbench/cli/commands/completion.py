"""`hwbench completion`."""

import click
from click.shell_completion import get_completion_class

from hwbench.cli import options, output, values
from hwbench.errors import HwbenchError


@options.command()
@click.argument("shell", type=values.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes commands, options, models and devices.

    \b
    Examples:
      hwbench completion bash > ~/.local/share/bash-completion/completions/hwbench
      hwbench completion zsh > ~/.zfunc/_hwbench
      hwbench completion fish > ~/.config/fish/completions/hwbench.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise HwbenchError(f"There is no completion for {shell}.")
    # The script only; click's own `source()` first starts the shell to ask for its version.
    context = click.get_current_context()
    complete = kind(context.find_root().command, {}, "hwbench", "_HWBENCH_COMPLETE")
    output.write(complete.source_template % complete.source_vars() + "\n")
