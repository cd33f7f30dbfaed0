"""`hwbench` and `python -m hwbench`."""

import gc


def main() -> None:
    """Run the command line."""
    # Start-up allocates thousands of objects and frees none: collecting garbage meanwhile is a tenth of its cost.
    gc.set_threshold(100_000)
    from hwbench.cli.main import main as run

    try:
        run()
    finally:
        gc.freeze()  # nor is anything freed at exit that the system does not take back anyway


if __name__ == "__main__":
    main()
