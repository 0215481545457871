"""What gets deployed: the template, and the code of the helper stack's functions."""
