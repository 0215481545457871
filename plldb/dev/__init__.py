"""What a developer does with a stack, one command each: run a tool, invoke, read logs, deploy.

::

    tool_environment   the variables by which any tool finds the target                   (pure)
    command_runner     runs a tool, in plldb's place or beside it                    (processes)
"""
