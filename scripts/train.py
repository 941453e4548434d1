"""The same as `mario-rl train`, for those who prefer scripts."""

import sys

from mario_rl.cli import main

if __name__ == "__main__":  # actor processes import this file as well
    sys.exit(main(["train", *sys.argv[1:]]))
