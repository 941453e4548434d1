"""The same as `mario-rl train`, for those who prefer scripts."""

import sys

from mario_rl.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
