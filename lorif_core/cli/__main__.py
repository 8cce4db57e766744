"""`python -m lorif_core.cli`."""

import sys

from lorif_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
