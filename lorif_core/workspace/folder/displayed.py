"""How notebooks show what a workspace returns.

Widgets are a front end, which this layer may not know. They register themselves here when ``lorif_core.widgets``
is imported, which ``lorif_core`` does inside Jupyter and marimo where they are installed. Everywhere else the same
values show as HTML, without a script.
"""

from collections.abc import Callable
from typing import Any

from lorif_core.errors import ConfigError

Widget = Any
"""An ipywidgets widget; this layer does not depend on them."""

_MAKERS: dict[type, Callable[..., Widget]] = {}


def register_widget(kind: type, make: Callable[..., Widget]) -> None:
    """Show values of a class by a widget from now on; ``make(value, redact=…)`` builds it."""
    _MAKERS[kind] = make


class Displayed:
    """A value that notebooks show: as a widget where one is registered for its class, as HTML everywhere."""

    def to_html(self, *, redact: bool = False) -> str:
        """HTML without a script; every text is escaped.

        Args:
            redact: Leave out the training texts.
        """
        raise NotImplementedError

    def widget(self, *, redact: bool = False) -> Widget:
        """The widget of this value, always the same one.

        Args:
            redact: Keep training texts out of what a notebook saves: they reach the browser only while the
                kernel runs.

        Raises:
            ConfigError: No widgets are installed, or the value did not come from a workspace.
        """
        known: dict[bool, Widget] = vars(self).setdefault("_widgets", {})  # beside the fields of a frozen value
        if redact not in known:
            make = _MAKERS.get(type(self))
            if make is None:
                raise ConfigError(
                    "widgets need ipywidgets and anywidget, loaded by `import lorif_core.widgets`: "
                    "pip install 'lorif-studio[notebook]'."
                )
            known[redact] = make(self, redact=redact)
        return known[redact]

    def _repr_html_(self) -> str:
        return self.to_html()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        if type(self) in _MAKERS:
            return self.widget()._repr_mimebundle_()
        return {"text/plain": repr(self), "text/html": self.to_html()}
