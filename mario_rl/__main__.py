"""`python -m mario_rl` is `mario-rl`."""

import sys

from mario_rl.cli import main

sys.exit(main())
