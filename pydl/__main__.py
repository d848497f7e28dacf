# SPDX-License-Identifier: BSD-3-Clause
"""`python -m pydl`, the same as the command `pydl`."""

import sys

from pydl.cli import main

if __name__ == "__main__":
    sys.exit(main())
