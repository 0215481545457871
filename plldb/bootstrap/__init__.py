"""Deploying the helper stack: packager → planner → executor.

::

    packager    folder → byte-reproducible zip under a content-hashed key          (pure)
    release     everything that a version of plldb deploys, as data                (pure)
    planner     what is there + what shall be there → the steps in between         (pure)
    inspector   looks what is there                                                (boto3)
    executor    carries out one step after the other                               (boto3)
    deployment  follows a stack operation: its events, its end, its failure        (boto3)
    operations  setup and destroy, put together from the above
"""
