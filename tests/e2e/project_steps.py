"""What is shown of each kind of project: the columns of the table that a run ends with."""

from __future__ import annotations

# The name of the property by which a test says so: its value is a kind, a tab and a step.
KIND = "kind of project"
BEGUN = "begun"
FOUND, EDITED, BREAKPOINT, RESTORED = STEPS = ("found", "edited", "breakpoint", "restored")
