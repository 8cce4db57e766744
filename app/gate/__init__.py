"""What stands before Streamlit: who may ask at all, the door, and the headers of every answer.

Every request of a browser comes through ``gate.Gate``, an ASGI application around Streamlit's. It compares the
names under which the browser says that it asks (``origins``), lets nobody past the door who has not signed in
(``door``, ``sessions``, ``guesses``), tells Streamlit who is there, and adds headers to what goes back
(``page_headers``). Nothing here looks up a name or calls another host.
"""
