"""Short ways to say who does what."""

from lorif_core.journal import Decision, Scope

CORPUS = "facts"


def by(actor, corpus_id=CORPUS):
    return Scope(actor=actor, corpus_id=corpus_id, dataset_id="d1")


def flag(*train_ids, **more):
    return Decision(kind="flag", train_ids=train_ids, **more)


def exclude(*train_ids, reason="spam", **more):
    return Decision(kind="exclude", train_ids=train_ids, reason=reason, **more)


def restore(*train_ids, **more):
    return Decision(kind="restore", train_ids=train_ids, **more)


def note(text, *train_ids):
    return Decision(kind="note", train_ids=train_ids, text=text)


def label(text, *train_ids, kind="label"):
    return Decision(kind=kind, train_ids=train_ids, text=text)


def statuses(journal, corpus_id=CORPUS):
    return dict(journal.states(corpus_id).select("train_id", "status").rows())
