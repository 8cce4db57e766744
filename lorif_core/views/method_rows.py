"""The methods side by side, for people: rows of docs/reference/methods.md and of the studio's list."""

from lorif_core.methods.registry import METHODS, REFERENCES, MethodEntry

COLUMNS = ("Method", "What it is", "Needs", "Passes over the texts", "Stores per text", "When to use it", "Source")


def method_row(entry: MethodEntry) -> dict[str, str]:
    """One method, by column."""
    told = (entry.name, sentence(entry), entry.inputs, entry.passes, entry.stores, entry.when, entry.source)
    return dict(zip(COLUMNS, told, strict=True))


def sentence(entry: MethodEntry) -> str:
    """What a method is, as a sentence of its own."""
    return f"{entry.summary[0].upper()}{entry.summary[1:]}"


def reference_lines() -> list[str]:
    """The table of docs/reference/methods.md and what stands below it, a line each."""
    rows = [method_row(entry) for entry in METHODS.values()]
    table = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    table += [f"| `{row['Method']}` | {' | '.join(row[name] for name in COLUMNS[1:])} |" for row in rows]
    names = ", ".join(f"`{name}`" for name in REFERENCES)
    return [*table, "", f"Beside them, without an index, `lorif evaluate` knows the references {names}."]
