"""Accessibility findings of a page by axe-core, which a package of the development extra ships."""

from importlib.resources import files
from typing import NamedTuple

GRAVE = ("serious", "critical")

OF_STREAMLIT: dict[str, dict[str, str]] = {}
"""Rule → part of a selector or of the markup → why the studio cannot change it. Nothing else is let through."""


class Finding(NamedTuple):
    """One element that breaks one rule."""

    rule: str
    impact: str
    target: str
    markup: str
    why: str

    @property
    def is_of_streamlit(self) -> bool:
        """Whether it is listed as Streamlit's own."""
        return any(part in self.target + self.markup for part in OF_STREAMLIT.get(self.rule, {}))


def grave_findings(page) -> list[Finding]:
    """Serious and critical findings that are ours."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    findings = [
        Finding(rule["id"], rule["impact"], str(node["target"]), node["html"][:300], node["failureSummary"])
        for rule in found["violations"]
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]
    return [finding for finding in findings if not finding.is_of_streamlit]
