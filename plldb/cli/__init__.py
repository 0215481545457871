"""The command line: one file per command, put together by ``factory``.

Commands parse, call and render. ``console`` is the only place that writes to the terminal. Each
command imports what it needs when it runs, so that ``plldb --help`` loads click and nothing else.
"""
