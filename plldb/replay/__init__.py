"""Invocations kept as files, and run again without any cloud.

::

    recorder       writes a file for each invocation of a session     (files, one thread)
    recording      what is in such a file, read and written           (files)
    masks          secrets, before anything is written                (pure)
    replaying      a recording's event, run by the code that is here  (children)
    local_code     where that code is, and who runs it                (files)
    difference     what differs between two JSON values               (pure)
    verdict        what a replay came to, beside what was recorded
"""
