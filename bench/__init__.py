"""Measurements of the whole; each module prints one JSON line of ratios taken in one run."""
