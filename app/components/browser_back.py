"""Makes the browser's Back return to the filters before: a widget's change of the address is a step in the history.

Streamlit replaces the address when a widget that is bound to it changes, and adds a step when a script changes it;
Back knows the latter only. A widget's change of the query becomes a step here; all else stays a replacement.
"""

from streamlit.components import v2

_SCRIPT = """
export default () => {
  if (window.lorifKeepsSteps) return;
  window.lorifKeepsSteps = true;
  const replace = window.history.replaceState.bind(window.history);
  let isGoingBack = false;
  window.addEventListener("popstate", () => {
    isGoingBack = true;
    setTimeout(() => { isGoingBack = false; }, 1500);
  }, true);
  window.history.replaceState = (state, title, address) => {
    const target = new URL(address ?? "", window.location.href);
    const isStep = target.pathname === window.location.pathname && target.search !== window.location.search;
    if (isStep && !isGoingBack) window.history.pushState(state, title, address);
    else replace(state, title, address);
  };
};
"""

_mount = v2.component("lorif_browser_back", js=_SCRIPT)


def keep_steps() -> None:
    """Draw nothing; once per page is enough."""
    _mount(key="browser-back", height=0)
