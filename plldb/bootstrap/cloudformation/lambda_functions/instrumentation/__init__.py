"""Functions that are redirected to a session, and restored."""
