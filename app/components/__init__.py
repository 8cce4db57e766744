"""What pages are drawn with. A component draws values; it asks the workspace nothing."""
