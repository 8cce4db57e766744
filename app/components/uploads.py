"""A file from the browser, kept in the workspace, and its path in the box for paths on the server."""

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app import session


def keep(upload: UploadedFile | None, *, box: str, kept: str) -> None:
    """Keep an upload once and let the box name it; call it before the box is drawn.

    Args:
        upload: What was chosen; None changes nothing.
        box: Key of the box for paths.
        kept: Key under which the latest upload of this tab is remembered.
    """
    if upload is not None and st.session_state.get(kept) != upload.file_id:
        path = session.workspace().data.keep_upload(upload.name, upload)
        st.session_state[kept] = upload.file_id
        st.session_state[box] = str(path)
