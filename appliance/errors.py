"""Every error a person or a program can meet, in one tree.

ApplianceError
|- InvalidInput           the request itself is wrong
|  `- DocumentRejected    the file cannot become a document
|- NotSignedIn            no session, or one that has ended
|- Denied                 policy said no
|- NotFound               there is no such thing, or it is not yours: the same answer for both
|- Conflict               the thing is in a state that does not allow this
|- Throttled              too many tries; says when to come back
|- Unavailable            a part of the box that is needed does not answer
`- SetupError             the box cannot start; the sentence tells an operator what to do

Each carries a stable `code` for programs, a sentence for people, and `data` for both. Which HTTP status
belongs to which class is known to `web/errors.py` alone.
"""

from __future__ import annotations

from typing import ClassVar


class ApplianceError(Exception):
    """Base of all errors that may reach a person."""

    code: ClassVar[str] = "internal"

    def __init__(self, sentence: str, *, code: str | None = None, **data: str | int) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.stable_code = code or type(self).code
        self.data = data

    def diagnostics(self) -> dict[str, str | int]:
        """What an operator may see: code, sentence and data, never document text."""
        return {"code": self.stable_code, "message": self.sentence, **self.data}


class InvalidInput(ApplianceError):
    """Raised when a request names an impossible value."""

    code = "input.invalid"


class DocumentRejected(InvalidInput):
    """Raised when a file is empty, too large, encrypted, corrupt, mislabelled or of an unknown type."""

    code = "document.rejected"


class NotSignedIn(ApplianceError):
    """Raised when an act needs a person and there is none."""

    code = "session.missing"


class Denied(ApplianceError):
    """Raised when policy refuses an act whose object the person may know about."""

    code = "policy.denied"


class NotFound(ApplianceError):
    """Raised for what does not exist and for what the person may not know to exist."""

    code = "not_found"


class Conflict(ApplianceError):
    """Raised when the object is in a state that does not allow the act."""

    code = "conflict"


class Throttled(ApplianceError):
    """Raised after too many tries; `data["retry_after_s"]` says when to come back."""

    code = "throttled"


class Unavailable(ApplianceError):
    """Raised when a needed part (model, queue, parser) does not answer."""

    code = "unavailable"


class SetupError(ApplianceError):
    """Raised when the box cannot start: port, directory, key, migration, model digest."""

    code = "setup"
