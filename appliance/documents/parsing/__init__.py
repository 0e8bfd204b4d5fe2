"""Parsers of document formats. They run only in the child process that `documents/sandbox.py` starts."""
