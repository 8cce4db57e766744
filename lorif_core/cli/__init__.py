"""The command `lorif`: parse, call one workspace function, print, map errors to exit codes.

Results go to standard output, progress and messages to standard error. Exit codes: 0 done,
2 the person can fix it (one sentence), 130 interrupted, 1 a defect (traceback and a log file).
"""

import gc
import os
import sys
import traceback

import tyro

from lorif_core.cli import decisions_commands, evaluate_commands
from lorif_core.cli.ask_commands import ask, score
from lorif_core.cli.browse_commands import (
    breakdown,
    browse,
    compare,
    duplicates,
    facets,
    neighbours,
    outliers,
    queries,
    reopen,
    status,
)
from lorif_core.cli.catalog_commands import catalog
from lorif_core.cli.curate_commands import (
    apply,
    conflicts,
    exclude,
    flag,
    history,
    label,
    note,
    reasons,
    redo,
    restore,
    settle,
    undo,
    unlabel,
)
from lorif_core.cli.data_commands import demo, import_
from lorif_core.cli.doctor_commands import doctor
from lorif_core.cli.export_commands import diff, export, freeze, replay, versions
from lorif_core.cli.failure_commands import failures, groups
from lorif_core.cli.index_commands import index, index_command, method_among
from lorif_core.cli.list_indexes import indexes
from lorif_core.cli.losses_commands import import_losses, perturb
from lorif_core.cli.map_commands import map_
from lorif_core.cli.output import complain, print_traceback
from lorif_core.cli.part_commands import index_part
from lorif_core.cli.people_commands import members
from lorif_core.cli.process import prepare_process
from lorif_core.cli.removal_commands import value, verifications, verify, what_if
from lorif_core.cli.spare_pandas import spare_pandas
from lorif_core.cli.store_commands import backup, journal, restore_backup
from lorif_core.cli.studio_commands import app
from lorif_core.cli.team_commands import agreement, comments, guidelines, progress, rounds
from lorif_core.cli.usage import Typed, plain_mistakes
from lorif_core.cli.verbatim_commands import verbatim
from lorif_core.cli.worker_commands import cancel, jobs, resume, worker
from lorif_core.errors import ConfigError, LorifError
from lorif_core.private_logs import write_report
from lorif_core.system_failures import failure_sentence, is_of_the_machine, raise_unless_failure


def evaluate() -> None:
    """Measure how good scores are: against retraining, against uncompressed references, against an answer key.

    `lorif evaluate --help` lists the measurements.
    """
    raise ConfigError(f"name a measurement: `lorif evaluate {'`, `'.join(evaluate_commands.COMMANDS)}`.")


def decisions() -> None:
    """Bring decisions back from a file, or write them to one; `lorif decisions --help` lists the commands."""
    raise ConfigError(f"name a command: `lorif decisions {'`, `'.join(decisions_commands.COMMANDS)}`.")


COMMANDS = {
    "demo": demo,
    "app": app,
    "import": import_,
    "index": index,
    "index-part": index_part,
    "indexes": indexes,
    "import-losses": import_losses,
    "perturb": perturb,
    "ask": ask,
    "score": score,
    "queries": queries,
    "reopen": reopen,
    "compare": compare,
    "breakdown": breakdown,
    "neighbours": neighbours,
    "outliers": outliers,
    "map": map_,
    "status": status,
    "browse": browse,
    "facets": facets,
    "duplicates": duplicates,
    "verbatim": verbatim,
    "flag": flag,
    "exclude": exclude,
    "restore": restore,
    "note": note,
    "label": label,
    "unlabel": unlabel,
    "apply": apply,
    "undo": undo,
    "redo": redo,
    "history": history,
    "conflicts": conflicts,
    "settle": settle,
    "members": members,
    "reasons": reasons,
    "guidelines": guidelines,
    "comments": comments,
    "rounds": rounds,
    "agreement": agreement,
    "progress": progress,
    "journal": journal,
    "catalog": catalog,
    "what-if": what_if,
    "verify": verify,
    "verifications": verifications,
    "value": value,
    "failures": failures,
    "groups": groups,
    "export": export,
    "replay": replay,
    "freeze": freeze,
    "versions": versions,
    "diff": diff,
    "decisions": decisions,
    "evaluate": evaluate,
    "worker": worker,
    "jobs": jobs,
    "cancel": cancel,
    "resume": resume,
    "doctor": doctor,
    "backup": backup,
    "restore-backup": restore_backup,
}
"""Every command; those of ``GROUPS`` are a level below."""

GROUPS = {"decisions": decisions_commands.COMMANDS, "evaluate": evaluate_commands.COMMANDS}

OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Imports make many objects and hardly any garbage: looking for it took a tenth of a short command's time."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    prepare_process()
    words = sys.argv[1:] if argv is None else argv
    if argv is None:  # a process of its own
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
        spare_pandas(next(iter(words), None))
    try:
        group = words[0] if len(words) > 1 and words[0] in GROUPS else None
        words = words[1:] if group else words
        program, commands = (f"lorif {group}", GROUPS[group]) if group else ("lorif", COMMANDS)
        if words[:1] == ["index"] and not group:
            commands = {**commands, "index": index_command(method_among(words))}
        with plain_mistakes(Typed(program, commands, words)):
            tyro.extras.subcommand_cli_from_dict(
                commands,
                prog=program,
                args=words,
                description="Find the training texts that taught a language model what it says.",
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except LorifError as error:
        complain(str(error))
        return 2
    except KeyboardInterrupt:
        complain("stopped. What was finished is kept; the same command resumes.")
        return 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123 - the reader of our output went away
        return 0
    except BaseException as error:  # the outermost frame: what the machine refuses, or a defect, kept for a report
        raise_unless_failure(error)
        if not is_of_the_machine(error):
            return _report_defect()
        complain(f"{failure_sentence(error)}, then run the same command again.")
        return 2
    return 0


def _report_defect() -> int:
    print_traceback()
    try:
        kept = f"is also in {write_report(traceback.format_exc())}"
    except (OSError, RuntimeError) as error:  # no home folder is a RuntimeError
        kept = f"could not be kept ({error})"
    complain(f"this is a defect of LoRIF Studio. The traceback above {kept}.")
    return 1
