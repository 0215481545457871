"""Sessions that have no terminal: ``plldb dev --detach`` and ``plldb attach --detach``.

::

    plldb dev --detach                    plldb dev (in the background)
      takes the folder's lock ──────────────▶ holds it until its end
      waits for the record  ◀──────────────── presence.py: session.json
                                              json_lines.py: events.jsonl

There is no socket: a session is found by its folder's name (session_folder.py), runs as long as
somebody holds the lock in it, says what it came to in a record (session_record.py), and is ended by
a signal (launching.py). The kernel gives the lock back whatever ends the process, so that no number
of a process is taken for another one's.
"""
