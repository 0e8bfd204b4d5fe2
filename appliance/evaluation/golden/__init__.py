"""Asking the questions of golden sets, through the code that serves people."""
