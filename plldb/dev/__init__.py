"""What a developer does with a stack, one command each: run a tool, invoke, read logs, deploy.

::

    tool_environment   the variables by which any tool finds the target                   (pure)
    command_runner     runs a tool, in plldb's place or beside it                    (processes)
    seeding            runs a command after each deployment                          (processes)
    project_stack      which stack is meant: that of the project in the folder            (files)
    stack_functions    the functions of a stack, and which of them is meant               (boto3)
    event_input        the event of an invocation; samples has one of each service        (files)
    last_event         the last recorded event of a function                          (files)
    lambda_call        one invocation, as its caller sees it                              (boto3)
    log_lines          a log for people                                                   (pure)
    log_reading        reads a function's log, and follows it                             (boto3)

    sam_settings       what samconfig.toml says                                           (files)
    sam_build          runs ``sam build``                                             (processes)
    project_packages   project → stacks → packages                                        (files)
    template_package   template → what CloudFormation takes, and what has to be uploaded  (files)
    code_zip           folder → reproducible zip under its content's key                  (files)
    emulator_gaps      what MiniStack lacks, done in another way                           (pure)
    omission           leaves a resource out of a template                                (pure)
    custom_resources   those of Node's functions, on MiniStack                            (pure)
    sam_expansion      SAM's resources as CloudFormation's
    template_watch     notices when templates have been saved                            (thread)
    stack_deployment   package → uploads → change set → stack                             (boto3)
"""
