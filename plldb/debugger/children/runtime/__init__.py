"""What runs in the child: loads one Lambda function and calls it, as Lambda's Python runtime does.

For the interpreter of the user's project: Python 3.8 or newer, standard library only. It is started
by the path of ``__main__.py`` and imports nothing of plldb, so its modules import each other
relatively. Rules and wordings are those of Lambda's own runtime
(https://github.com/aws/aws-lambda-python-runtime-interface-client), named ``awslambdaric`` here;
what differs is said where it does. ::

    serving         the life of a child, from its start to its end
    invoker_pipes   the two pipes to plldb, and what their end means
    frames          what goes through them; plldb imports this module, too
    output          what goes through stdout and stderr, which are one pipe; and this one
    standard_streams  the ends of that pipe here
    loading         a handler by its name; saved code is read again
    loaded_code     which files that were; file_stamps: by what they are known to have changed
    import_remedy   what a developer can do about an import that failed
    context         what a handler gets beside the event
    invocation_variables  what is in the environment for one invocation
    encoding        events and results as JSON text
    faults          errors in Lambda's words, stack traces with Lambda's paths
    log_format      the root logger, errors in the log
    terminal_debuggers  pdb, ipdb, pudb and others that talk to a terminal
    debugpy_server  debugpy, for an editor that attaches
    editor_stops    where an editor stops, and what it sees there
    post_mortem     there, an exception that the handler did not catch
    passed_over     breakpoints while there is no debugger
    import_hook     changes modules as they are imported
    api_names       AWS's names of APIs, on an emulator

The numbers of the pipes are its arguments; stdin, stdout and stderr are left to the user's code.
These are the frames::

    invoker → runtime                        runtime → invoker
    start {handler, codeDir, debugger, …}    ready {…}: a debugger can attach
    import                                   imported {error, remedy}
    invoke {deadline, context} + event       result + JSON text or base64
                                             error {errorType, errorMessage, stackTrace}
                                             retry: nothing of these, but the event once more
                                             unhandled {error, status}: what that will be, while
                                             the developer decides
                                             waiting: for a debugger to attach; resumed: it has
                                             stopped: by a debugger; resumed: it goes on
                                             loaded {files, folders}: before an answer
    go                                 ←     paused: about to use the terminal, or done with it
    end: after the answer, if any            failed {message, hint}: the debugger can't be started

``import`` and ``invoke`` have a ``number``, and so has what answers them (``imported``,
``result``, ``error``, ``retry``): a process that the code forks may answer a second time.

How it ends: ``end`` makes it leave its loop, so that the interpreter shuts down as it does after
any program. SIGTERM does the same in the middle of an invocation, as ``sys.exit`` would. The end of
the first pipe means that plldb itself is gone: then this process ends as by SIGTERM, or else by
force, and takes along all that it started.
"""
