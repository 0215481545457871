"""plldb, the Python Lambda Local DeBugger.

Imports go one way: cli → bootstrap, debugger, emulators → stacks → aws → config → errors.
Importing this package loads nothing else.
"""

__version__ = "0.1.0"
