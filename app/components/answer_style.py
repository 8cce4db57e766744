"""How Investigate and Compare look: lines instead of boxes, small actions beside a text and never below it."""

import streamlit as st


def draw() -> None:
    """The style of the page; call it once."""
    st.html(STYLE)


STYLE = """
<style>
[class*="st-key-card-hit-"], [class*="st-key-card-verbatim-"] {
  margin: 0 !important; padding: .3rem .25rem .35rem .5rem;
  border-bottom: 1px solid color-mix(in srgb, currentColor 14%, transparent); border-radius: .25rem; }
[class*="st-key-card-hit-"]:hover, [class*="st-key-card-verbatim-"]:hover {
  background: color-mix(in srgb, currentColor 4%, transparent); }
[class*="st-key-actions-hit-"] button, [class*="st-key-actions-verbatim-"] button {
  min-height: 1.65rem; padding: 0 .5rem; }
[class*="st-key-actions-hit-"] [class*="-restore"]:has(button:disabled),
[class*="st-key-actions-verbatim-"] [class*="-restore"]:has(button:disabled) { display: none; }
[class*="st-key-actions-hit-"] button p, [class*="st-key-actions-verbatim-"] button p { font-size: .78rem; }
.st-key-hits, .st-key-verbatim-hits { gap: 0; }
.st-key-answer { gap: .35rem; }
.st-key-answer-line { border-bottom: 1px solid color-mix(in srgb, currentColor 14%, transparent);
  padding-bottom: .35rem; }
:has(> .st-key-question) { flex: 1 1 20rem; }
@media (min-width: 1200px) { .st-key-answer-line { flex-wrap: nowrap; } }
.st-key-answer-line [data-testid="stText"], .st-key-remarks [data-testid="stText"],
.st-key-asking [data-testid="stText"] { font-size: .875rem; }
.st-key-remarks [data-testid="stText"], .st-key-count-line [data-testid="stText"] { font-size: .8rem; opacity: .85; }
.st-key-answer-line button, .st-key-filters button, .st-key-filters input, .st-key-count-line button,
.st-key-compare-choice button, .st-key-compare-options button, .st-key-ask-chosen button {
  min-height: 2rem; padding-top: .1rem; padding-bottom: .1rem; }
.st-key-answer-line button p, .st-key-filters button p, .st-key-count-line button p,
.st-key-ask-chosen button p { font-size: .85rem; }
.st-key-count-line button { min-height: 1.5rem; padding: 0 .4rem; }
.st-key-ask-boxes { gap: .6rem; }
.st-key-ask-boxes textarea { font-size: .95rem; line-height: 1.45; }
.st-key-filters [data-testid="stTextInputRootElement"] { height: 2rem; }
[class*="st-key-chat-turn-"] { padding-left: .6rem;
  border-left: 3px solid color-mix(in srgb, currentColor 20%, transparent); }
[class*="st-key-chat-turn-assistant-"] { margin-left: 1.5rem; width: calc(100% - 1.5rem) !important;
  border-left-color: #2f6fde; }
[class*="st-key-compare-quiet-"] [data-testid="stText"], .st-key-compare-differences [data-testid="stText"],
.st-key-details-body [data-testid="stText"] { font-size: .85rem; }
</style>
"""
