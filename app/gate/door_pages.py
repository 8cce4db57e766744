"""The door's pages: plain HTML without a script, light or dark as the system is."""

from html import escape

DOOR = "_door"
"""Below it lies everything that the door answers itself."""

PROMISE = "Decisions are kept under your name."
UNVERIFIED = (
    "Everybody here has the same password, so names are not verified: what you decide is kept under the name that "
    "you type."
)

STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#31333f, #f0efec); --quiet: light-dark(#5c6070, #b3b0a9);
  --page: light-dark(#f5f6f8, #161513); --card: light-dark(#fff, #21201d); --line: light-dark(#80848f, #7d7a74);
  --edge: light-dark(#dfe3e9, #383632); --accent: light-dark(#1d5fd1, #7fb0ff);
  --on-accent: light-dark(#fff, #0b1526); --bad: light-dark(#a52222, #ff9c93);
  --bad-page: light-dark(#fdeeee, #331d1f); }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 2rem 1rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 "Source Sans 3", "Source Sans Pro", system-ui, sans-serif; }
main { width: 100%; max-width: 25rem; padding: 2rem; background: var(--card); border: 1px solid var(--edge);
  border-radius: .6rem; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; }
h2 { margin: 2rem 0 0; padding-top: 1.5rem; border-top: 1px solid var(--edge); font-size: 1.1rem; }
p { margin: .5rem 0 0; color: var(--quiet); overflow-wrap: anywhere; }
p strong { color: var(--ink); }
label { display: block; margin-top: 1.1rem; font-weight: 600; font-size: .9rem; }
input { width: 100%; margin-top: .3rem; padding: .55rem .7rem; font: inherit; color: inherit; background: transparent;
  border: 1px solid var(--line); border-radius: .35rem; }
.hint { margin-top: .3rem; font-size: .85rem; }
button, .button { display: block; margin-top: 1.5rem; width: 100%; text-align: center; text-decoration: none;
  padding: .6rem 1rem; font: inherit; font-weight: 600; cursor: pointer;
  color: var(--on-accent); background: var(--accent); border: 1px solid var(--accent); border-radius: .35rem; }
button.plain { color: var(--ink); background: transparent; border-color: var(--line); }
a { color: var(--accent); }
input:focus-visible, button:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.bad { margin-top: 1rem; padding: .6rem .8rem; color: var(--bad); background: var(--bad-page);
  border-left: 4px solid var(--bad); border-radius: .2rem; }
.good { margin-top: 1rem; padding: .6rem .8rem; color: var(--ink); border-left: 4px solid var(--accent); }
"""

ICON = (
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 100 100'><text y='.9em' font-size='90'>"
    "🔎</text></svg>"
)


def sign_in(base: str, *, then: str, shared: bool, name: str = "", wrong: str = "", told: str = "") -> str:
    """Where one signs in.

    Args:
        base: Path of the studio below its host.
        then: Path of the page to go to.
        shared: Whether all have the same password.
        name: What was typed.
        wrong: Why it was not let in.
        told: What happened before, such as the end of a session.
    """
    described = ' aria-describedby="wrong"' if wrong else ""
    return _page(
        "Sign in",
        f"""<h1>LoRIF Studio</h1>
<p>{UNVERIFIED if shared else PROMISE}</p>
{_said(wrong, told)}
<form method="post" action="{base}/{DOOR}/sign-in">
<input type="hidden" name="then" value="{escape(then)}">
<label for="name">Your name</label>
<input id="name" name="name" value="{escape(name)}" maxlength="200" autocomplete="username" autocapitalize="off"
 spellcheck="false" required{"" if name else " autofocus"}{described}>
<label for="password">{"Password of this studio" if shared else "Your password"}</label>
<input id="password" name="password" type="password" maxlength="1000" autocomplete="current-password"
 required{" autofocus" if name else ""}>
<button>Sign in</button>
</form>""",
    )


def provider(base: str, told: str = "", wrong: str = "") -> str:
    """Where one goes to the organisation's sign-in."""
    return _page(
        "Sign in",
        f"""<h1>LoRIF Studio</h1>
<p>You sign in with your organisation's account. {PROMISE}</p>
{_said(wrong, told)}
<a class="button" href="{base}/{DOOR}/provider" autofocus>Sign in</a>""",
    )


def invitation(base: str, code: str, person: str, wrong: str = "") -> str:
    """Where an invited member chooses a password."""
    return _page(
        "Choose a password",
        f"""<h1>Welcome to LoRIF Studio</h1>
<p>Choose a password for <strong>{escape(person)}</strong>. This link works once.</p>
{_said(wrong)}
<form method="post" action="{base}/{DOOR}/invitation">
<input type="hidden" name="code" value="{escape(code)}">
<input type="hidden" name="username" value="{escape(person)}" autocomplete="username">
{_new_password(autofocus=True)}
<button>Save and sign in</button>
</form>""",
    )


def account(base: str, person: str, role: str, *, has_password: bool, wrong: str = "", told: str = "") -> str:
    """Who one is, and what one can do about it."""
    change = f"""<h2>Change your password</h2>
<form method="post" action="{base}/{DOOR}/password">
<input type="hidden" name="username" value="{escape(person)}" autocomplete="username">
<label for="password">Current password</label>
<input id="password" name="password" type="password" maxlength="1000" autocomplete="current-password" required>
{_new_password()}
<button>Change password</button>
<p class="hint">You are signed out everywhere else.</p>
</form>"""
    return _page(
        "Your account",
        f"""<h1>{escape(person)}</h1>
<p>{escape(role)}</p>
<p><a href="{base}/">Back to the studio</a></p>
{_said(wrong, told)}
<form method="post" action="{base}/{DOOR}/sign-out"><button class="plain">Sign out</button></form>
{change if has_password else ""}""",
    )


def message(base: str, title: str, sentence: str) -> str:
    """One sentence, and the way back."""
    return _page(
        title, f'<h1>{escape(title)}</h1>\n<p>{escape(sentence)}</p>\n<p><a href="{base}/">LoRIF Studio</a></p>'
    )


def _new_password(*, autofocus: bool = False) -> str:
    return f"""<label for="new">New password</label>
<input id="new" name="new" type="password" minlength="12" maxlength="1000" autocomplete="new-password"
 aria-describedby="hint" required{" autofocus" if autofocus else ""}>
<p class="hint" id="hint">At least 12 characters, such as four or five words.</p>
<label for="again">Type it again</label>
<input id="again" name="again" type="password" minlength="12" maxlength="1000" autocomplete="new-password"
 required>"""


def _said(wrong: str, told: str = "") -> str:
    if wrong:
        return f'<p class="bad" id="wrong" role="alert">{escape(wrong)}</p>'
    return f'<p class="good" role="status">{escape(told)}</p>' if told else ""


def _page(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{escape(title)} · LoRIF Studio</title>
<link rel="icon" href="{ICON}">
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
