"""The inspector: a page on this machine that shows invocations as they happen, and runs them again.

::

    address        where it listens: on this machine alone                    (a socket)
    guard          who may ask, and what a browser is told to allow           (pure)
    journal        what has happened, for any number of readers               (pure)
    run_difference what differs between two runs                              (pure)
    reruns         an invocation, run once more                               (children)
    keeping        an invocation as a recording, or as a test                 (files)
    site           the page's files, and what it asks for                     (starlette)
    server         a thread that serves that beside a session                 (uvicorn)

starlette and uvicorn come with the extra ``inspect``; only ``site`` and ``server`` import them.
"""
