"""Methods are tried on the small indexes of the tests of passes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "passes"))
