"""The inspector: a page on this machine that shows invocations as they happen, and runs them again.

::

    address        where it listens: on this machine alone                    (a socket)
    extra          whether what serves it is installed
    guard          who may ask, and what a browser is told to allow           (pure)
    listing        invocations as the page shows them, and how they are found (pure)
    run_difference what differs between two runs                              (pure)
    reruns         an invocation, run once more                               (children)
    keeping        an invocation as a recording, or as a test                 (files)
    feed           tells pages what has changed                               (an event loop)
    site           the page's files, and what it asks for                     (starlette)
    server         a thread that serves that beside a session                 (uvicorn)
    static/        what runs in the browser

starlette and uvicorn come with the extra ``inspect``; only ``site`` and ``server`` import them.
"""
