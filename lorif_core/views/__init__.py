"""Pure: results to frames and text, shared by every front end."""
