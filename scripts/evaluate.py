"""The same as `mario-rl evaluate`, for those who prefer scripts."""

import sys

from mario_rl.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
