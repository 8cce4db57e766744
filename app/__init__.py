"""LoRIF Studio in the browser; `lorif app WORKSPACE` starts it.

How a page is made
------------------
A page is a module of ``app/pages`` with a function ``page()``, at most 80 lines, and one line in
``app.shell.PAGES``. It reads widgets, makes ONE call into ``lorif_core`` and draws the result:

    def page() -> None:
        session.title("History", "Who decided what, when and why.")
        kind = st.segmented_control("Kind", KINDS, key="kind", bind="query-params")
        with session.errors():
            entries = session.workspace().decisions.history(kind=kind, dataset=session.dataset_id())
            history_list(entries)          # drawn in app/components

* ``session.workspace()``: the one ``Workspace`` of this process. ``session.actor()``: who you are; pass it
  as ``actor=`` to every write. ``session.dataset_id()``: the data set on screen; pass it as ``dataset=``.
* ``session.errors()``: a ``LorifError`` inside becomes its one sentence, anything else an id whose traceback
  is in the log. The block ends there; the rest of the page is drawn.
* ``session.act("Flagged 3 texts.", lambda: ws.flag(ids, actor=…, client_id=request))`` is THE way to write, in an
  ``on_click`` callback: it shows a toast and reports errors. ``request = session.request_id("flag", ids)`` is read
  where the button is drawn and handed over by ``args=``; it turns a double click into one event.
  ``decide.buttons(ids, status, …)`` draws flag, exclude and keep with all of that.
* Keys are those of ``decision_keys.KEYS`` on every page; none means two things. A list says with
  ``chosen_texts.offer`` which texts they are about and draws a ``chosen_texts.tick`` in each row; a page whose
  buttons bear the letters themselves calls ``chosen_texts.leave_to_buttons``.
* Ids, never row positions, reach a write. A table with row selection is drawn by ``session.table_key``: its key
  holds a digest of the ids in order, so that another order empties the selection (UX §0.1).
* State that a link must reopen lies in the URL: widgets have ``key=…, bind="query-params"``; what is no
  widget goes through ``st.query_params``. Other widgets that must outlive a change of page have
  ``persist_state="session"``. Keys of a page begin with its own name, those in the URL are short words.
* Text of people and of data is never Markdown or HTML: ``st.text``, ``st.code`` or ``token_view.text(…)``. Put
  nothing of it into labels, ``st.markdown``, ``st.caption``, toasts or column names: those obey Markdown.
* Anything longer than 0.3 s that needs the model runs in ``app.background`` and is polled by a fragment;
  longer than 10 s: a job of ``lorif_core.workspace.jobs.worker``.
* No icons of the form ``:material/…`` (they come from another host). Bare letters as ``shortcut=``, never
  Ctrl+something.
* Tests: logic with ``AppTest`` in ``tests/app/test_<page>_page.py`` (``tests.app.pages.open_page``), what needs a
  browser with Playwright and the fixture ``studio`` of ``tests/app/conftest.py``.

Empty states: ``session.empty("No text is flagged yet.", "lorif flag {workspace} ID")``.
"""
