"""Every error raised on purpose.

    LorifError                     a person can fix it: one sentence, exit code 2
    ├── ConfigError                a setting is out of range or contradicts another
    ├── DataError                  a data file, row or column cannot be used
    │   ├── UnclearColumns         nothing tells which columns are read
    │   └── UnreadableRow          one row cannot be read by this model; others can
    ├── ModelError                 a model or tokenizer cannot be loaded or used
    │   └── TargetError            module patterns match nothing usable
    ├── CaptureError               per-example gradients cannot be collected from this model
    ├── NumericalError             a result is not finite
    ├── ResourceError              not enough memory or disk
    ├── TurnError                  others write for longer than one waits
    ├── CatalogError               the workspace's catalog cannot be read or written
    ├── JournalError               a decision cannot be read or written, or contradicts another
    │   ├── LostJournal            the journal is not the one that its workspace knows, or older
    │   └── RoleError              the person may not do this
    ├── QueryError                 a search, filter or rule cannot be understood or takes too long
    ├── JobError                   a job is unknown, or cannot be started or stopped
    └── ArtefactError              a file of the workspace is missing or unusable
        ├── FingerprintMismatch    an artefact was built from other inputs
        └── DamagedArtefact        bytes differ from their recorded checksum

Messages follow one shape: rule, value found, cause or consequence, next step.
Anything else that escapes is a defect and keeps its traceback (exit code 1).
"""

from collections.abc import Sequence


class LorifError(Exception):
    """An expected failure whose message tells a person what to do next."""


class ConfigError(LorifError):
    """A setting is out of range or contradicts another one.

    No ValueError: the command line's parser would catch it and print a box instead of the sentence.
    """


class DataError(LorifError):
    """A data file, row or column cannot be used."""


class UnclearColumns(DataError):
    """Nothing tells which columns of some data are read; the message has the flags of an import that do."""

    def __init__(self, message: str, names: Sequence[str]) -> None:
        """Keep the columns' names beside the sentence, for those who know no flags."""
        super().__init__(message)
        self.names = tuple(names)


class UnreadableRow(DataError):
    """One row cannot be turned into tokens for this model; the rows beside it can. The message is its reason."""


class ModelError(LorifError):
    """A model or tokenizer cannot be loaded or used."""


class TargetError(ModelError):
    """The module patterns match nothing that can be tracked."""


class CaptureError(LorifError):
    """Per-example gradients cannot be collected from this model."""


class NumericalError(LorifError, ArithmeticError):
    """A result is not finite."""


class ResourceError(LorifError):
    """Not enough memory or disk for the request."""


class TurnError(LorifError):
    """Others have the turn to write for longer than one waits."""


class CatalogError(LorifError):
    """The workspace's catalog cannot be read or written."""


class JournalError(LorifError):
    """A decision cannot be read or written, or contradicts one that was made since."""


class LostJournal(JournalError):
    """The journal is missing, empty, another one than its workspace knows, or older than it was."""

    def __init__(self, message: str, *, is_there: bool) -> None:
        """Keep whether there is a journal at all, which a person could accept."""
        super().__init__(message)
        self.is_there = is_there


class RoleError(JournalError):
    """The person may not do this."""


class QueryError(LorifError):
    """A search, filter or rule cannot be understood, or takes too long."""


class JobError(LorifError):
    """A job is unknown, or cannot be started or stopped."""


class ArtefactError(LorifError):
    """A file of the workspace is missing or unusable."""


class FingerprintMismatch(ArtefactError):
    """An artefact was built from other inputs than the ones in use."""


class DamagedArtefact(ArtefactError):
    """The bytes of a file differ from their recorded checksum."""
