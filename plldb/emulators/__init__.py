"""Starts, finds and stops emulators.

::

    base       what every emulator can do, and the deadline until it is healthy
    state      which one `plldb local up` started, in a file under PLLDB_HOME
    process    MiniStack as a child process
    container  LocalStack in a container; its image is made from localstack/
    engines    the two by their names
    lifecycle  up, down and status: one at a time, whatever a crash left behind
"""
