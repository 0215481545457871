"""Deploys the helper stack: packager → planner → executor.

::

    packager         folder → byte-reproducible zip under a content-hashed key          (pure)
    parameters       the template's parameters that users may set, and their values     (pure)
    release          everything that a version of plldb deploys, as data                (pure)
    planner          what is there + what shall be there → the steps in between         (pure)
    observer         looks at what is there                                             (boto3)
    executor         carries out one step after the other                               (boto3)
    stack_operation  follows a stack operation: its events, its end, its failure        (boto3)
    operations       setup and destroy, put together from the above
"""
