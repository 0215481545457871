"""What runs inside a debugged function: asks the attached debugger, or runs the function itself.

::

    bootstrap    the handler that Lambda calls
    variables    what plldb wrote into the function's environment
    broker_client  asking the debugger, over HTTP
    original     the function's own handler
    remote       errors of the debugger's side, raised again here
    termination  being stopped in the middle, on an emulator

Standard library only, Python 3.9 and later, and as little of it as possible at import: whatever
is imported here makes a cold start longer.
"""

from .bootstrap import handler

__all__ = ["handler"]
