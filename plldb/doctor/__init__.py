"""Finds out what is wrong, and what to do: all that ``plldb doctor`` looks at.

It changes nothing, but for a session that --deep opens and closes again.

::

    findings      what a check comes back with                                     (pure)
    facts         what checks look at, each looked up once
    checkup       all checks in order: what fails hides no other, what it needs is skipped
    machine       this machine: Python, settings, emulator, Docker
    account       where calls go: clock, region, credentials
    helper_stack  the helper stack: version, drift, management API, reaper
    requirements  what each command needs to be allowed, as data                    (pure)
    permissions   which of it is not allowed: simulated by IAM, else tried
    deep          a helper stack at work: a session of its own, limits, alarms, log
    leftovers     what crashed sessions left behind
"""
