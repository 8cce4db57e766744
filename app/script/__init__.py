"""What the server runs, alone in its folder: beside it, Streamlit would take ``app/pages`` for pages of its own."""
