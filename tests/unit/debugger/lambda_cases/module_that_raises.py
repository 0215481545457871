"""Fails while it is imported."""


def fail():
    raise LookupError("while it was imported")


fail()
