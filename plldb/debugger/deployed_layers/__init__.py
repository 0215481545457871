"""Layers that only the deployed function knows: those by ARN, and what a template computes.

::

    arrangement.py     which of the deployed layers are folders here, and which have to be fetched
    layer_fetcher.py   asks Lambda for a version, and downloads it
    extraction.py      unpacks the archive, which may be anybody's
    layer_cache.py     keeps what was unpacked, by its content
    suitability.py     what of it runs on this machine under the project's interpreter
    native_files.py    what a compiled file was compiled for
    layer_supply.py    puts all of that together for a session's functions
"""
