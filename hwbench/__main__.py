"""`hwbench` and `python -m hwbench`."""

import gc
import sys


def main() -> None:
    """Run the command line."""
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


if __name__ == "__main__":
    main()
