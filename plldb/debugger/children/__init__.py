"""Where the code runs: child processes under the interpreter of the user's project.

::

    invoker             children, warm and fresh, and what waits for them
    child               one child process, from its start to its end
    local_function      a function as it is run here, and how it is debugged
    child_environment   its variables, and packages that Lambda brings along
    lambda_paths        Lambda's folders as they lie here
    layers              what layers and builds add to the path
    interpreter         the Python of the user's project
    file_changes        whether what a child has loaded has changed
    terminal            the developer's, and how debuggers in children have it
    editor_ports        where editors attach, whichever child serves them
    credential_keeper   credentials for the children, renewed ahead of their end
    credential_server   serves them on loopback                           (http.server)
    runtime/            what runs in the child
"""
