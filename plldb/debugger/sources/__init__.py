"""Where the code of a stack's functions lies on this machine, and under which of its projects.

::

    project           what a finder gives: a project of one stack, the code of its functions
    sam, cloudformation, cdk, serverless, chalice
                      the finders, one for each kind of project
    terraform         functions that are in no stack
    functions         the functions of a template and of those nested in it
    code_location     where a template says that a function's code is
    expansion, intrinsics
                      its loops and included files, and what its functions give
    cloud_assembly    what ``cdk synth`` has written
    package_origin    the folder that a package was made from
    built_copies      code in folders that a project's own build fills
    comparison        what the project says, held against what is deployed
    nearby            what there is below a folder that has no project of the stack
    choice            which project serves a stack, and what the developer says of its code
    code_options      ``--code``

A finder takes the folder that the developer is in, and gives the projects there: reading files is
all that it does. Code is found as it is edited, never as it was built or packaged, unless there is
nothing else.
"""
