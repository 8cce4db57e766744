"""Measurements of the promises in the design: speed, memory, bytes. Run with ``make bench``."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it, before torch is imported
