"""How Home and the last line of every page look."""

STYLE = """
<style>
.st-key-road { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); align-items: stretch; }
@media (max-width: 1240px) { .st-key-road { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
@media (max-width: 640px) { .st-key-road { grid-template-columns: minmax(0, 1fr); } }
.st-key-road [data-testid="stPageLink"], .st-key-road [data-testid="stPageLink"] > div { width: fit-content; }
.st-key-road > div { width: auto !important; min-width: 0; }
.st-key-road > div > [data-testid="stVerticalBlock"] { height: 100%; }
[class*="st-key-road-"] { padding: .8rem .9rem; height: 100%; }
[class*="st-key-road-"] [data-testid="stText"] { font-size: .875rem; opacity: .8; line-height: 1.4; }
[class*="st-key-road-"] > :last-child { margin-top: auto; }
[class*="st-key-road-"] [data-testid="stPageLink-NavLink"] { padding: .1rem 0; text-decoration: underline;
  text-decoration-color: color-mix(in srgb, currentColor 35%, transparent); text-underline-offset: 3px; }
[class*="st-key-road-done"] { background: color-mix(in srgb, #2f855a 7%, transparent); }
[class*="st-key-road-later"] { opacity: .85; border-style: dashed; }
[class*="st-key-road-next"] { border-color: #2f6fde; box-shadow: inset 0 3px 0 #2f6fde; }
[class*="st-key-road-next"] [data-testid="stPageLink-NavLink"] { background: light-dark(#1d5fd1, #7fb0ff);
  padding: .25rem .8rem; text-decoration: none; }
[class*="st-key-road-next"] [data-testid="stPageLink-NavLink"] p { color: light-dark(#fff, #0b1526);
  font-weight: 600; }
[class*="st-key-recent-"] { position: relative; padding: .5rem .9rem; }
[class*="st-key-recent-"]:hover { border-color: #2f6fde; background: color-mix(in srgb, #2f6fde 5%, transparent); }
[class*="st-key-recent-"] > div { position: static !important; }
[class*="st-key-recent-"] [data-testid="stPageLink"], [class*="st-key-recent-"] [data-testid="stPageLink"] > div {
  position: static !important; }
[class*="st-key-recent-"] a::after { content: ""; position: absolute; inset: 0; }
[class*="st-key-recent-"] [data-testid="stText"] { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
[class*="st-key-recent-"] > div:nth-child(2) [data-testid="stText"] { font-size: .8rem; opacity: .75; }
[class*="st-key-empty-"] [data-testid="stPageLink"], [class*="st-key-empty-"] [data-testid="stPageLink"] > div {
  width: fit-content; }
[class*="st-key-empty-"] [data-testid="stPageLink-NavLink"] { background: light-dark(#1d5fd1, #7fb0ff);
  padding: .25rem .8rem; }
[class*="st-key-empty-"] [data-testid="stPageLink-NavLink"] p { color: light-dark(#fff, #0b1526); font-weight: 600; }
[class*="st-key-index-row-"] { padding: .6rem .9rem; }
[class*="st-key-index-row-"] button { min-height: 2rem; padding: .1rem .7rem; }
[class*="st-key-index-row-"] button p { font-size: .85rem; white-space: nowrap; }
[class*="st-key-index-about-"] > div:first-child [data-testid="stText"] { font-weight: 600; }
[class*="st-key-index-about-"] > div:not(:first-child) [data-testid="stText"] { font-size: .85rem; opacity: .78; }
.st-key-onward { margin-top: 1.5rem; padding-top: .5rem;
  border-top: 1px solid color-mix(in srgb, currentColor 12%, transparent); }
</style>
"""
