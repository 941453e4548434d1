"""`python -m mario_rl` is `mario-rl`: Ctrl-C is answered as always while the command line is still being loaded."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; returns its exit code."""
    try:
        from mario_rl.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("mario-rl: interrupted\n")
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
