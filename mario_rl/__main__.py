"""Where `mario-rl` and `python -m mario_rl` begin: Ctrl-C while Python imports, or already leaves, ends it silently.

Python's own way is a traceback. `mario_rl.cli.main` answers Ctrl-C while a command works.
"""

import signal
import sys
from collections.abc import Sequence

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored, as in a shell's background
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    from mario_rl import cli  # here, where Ctrl-C is silent already

    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
