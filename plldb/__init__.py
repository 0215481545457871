"""plldb, the Python Lambda Local DeBugger.

Imports go one way: cli → demo, doctor → bootstrap, debugger, emulators → stacks → aws →
settings_file → config → errors, clock_skew, diagnostic_log, files. docs/architecture.md says what
each of them is for; what writes the references from the code, tools/, lies beside the package.
Importing this package loads nothing else.
"""

__version__ = "0.2.0.dev0"
