"""`hwbench` and `python -m hwbench`."""

import atexit
import gc
import os
import sys


def main() -> None:
    """Run the command line; SystemExit has its exit code."""
    # Start-up allocates thousands of objects and frees none: collecting garbage meanwhile is a tenth of its cost.
    gc.set_threshold(100_000)
    try:
        from hwbench.cli.main import main as run

        run()
    except KeyboardInterrupt:  # while importing or leaving: what lies between, cli/main.py reports
        if sys.stderr is not None:
            sys.stderr.write("hwbench: interrupted\n")
        sys.exit(130)
    finally:
        gc.freeze()  # nor is anything freed at exit that the system does not take back anyway


def start() -> None:
    """Run the command line, and leave at once if nothing waits for the end: freeing all objects is 3 % of a start."""
    try:
        main()
    except SystemExit as leaving:
        import threading  # which click has imported by now, without collecting garbage

        if isinstance(leaving.code, int) and not atexit._ncallbacks() and threading.active_count() == 1:
            os._exit(leaving.code)  # cli/main.py has flushed what was written
        raise


if __name__ == "__main__":
    start()
