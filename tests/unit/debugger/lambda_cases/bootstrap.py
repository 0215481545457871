"""Called as a file of Lambda's own."""


def fail():
    raise LookupError("in a file called bootstrap.py")
