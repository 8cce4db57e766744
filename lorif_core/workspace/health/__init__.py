"""Whether a workspace is whole: every file that is there, every file that should be, and what repairs the rest."""
