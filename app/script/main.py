"""The script that Streamlit runs for every change on screen."""

from app.shell import run

run()
