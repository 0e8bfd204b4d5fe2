"""What is asked of the gate. Kept apart from it: whoever calls needs this, and not what the gate is made of."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.audit.events import ResourceRef
from appliance.egress.destinations import Purpose
from appliance.egress.interruption import Flag

OWN_WORDS = "own-words"
"""Instead of a classification, by a caller whose body names a model and says nothing else (own_words.py); never by default.
The gate holds the body against that.
"""

LETTER = "a"
"""What stands in such a body where text would stand."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a named destination. `body` is JSON (for a collector lines of it), or empty for a GET.

    `classification` is the highest one among what the body holds; an inference server gets no body without it, any other
    destination none with it. `person` (a principal's id) is on whose behalf it is made, empty where the box acts for itself;
    `about` is what else the record should name. At most `limit_bytes` come back; between two pieces of the answer may lie
    `silence_s`, and `cancelled` or `deadline_s` (seconds in all) end it at once.
    """

    destination: str
    purpose: Purpose
    path: str
    body: bytes = b""
    classification: str = ""
    person: str = ""
    about: tuple[ResourceRef, ...] = ()
    limit_bytes: int = 1_000_000
    silence_s: float = 60.0
    deadline_s: float | None = None
    cancelled: Flag | None = None
