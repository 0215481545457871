"""What has become of invocations: shown, kept as files, and run again without any cloud.

::

    history              invocations as they are and were, of events     (pure)
    invocation_document  an invocation as JSON, one shape for all        (pure)
    short_forms          events and answers in a few words               (pure)
    recorder             writes a file for each invocation of a session  (files, one thread)
    recording            what is in such a file, read and written        (files)
    masks                secrets, before anything is written             (pure)
    replaying            a recording's event, run by the code here       (children)
    local_code           where that code is, and who runs it             (files)
    difference           what differs between two JSON values            (pure)
    verdict              what a replay came to, beside the recorded      (pure)
"""
