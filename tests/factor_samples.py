"""People with a second factor, and a clock that the test turns. `from tests.factor_samples import Phone, StillClock, enrol`."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyotp

from appliance.bootstrap import Appliance
from appliance.identity.models import Principal
from appliance.identity.totp import STEP_MS
from appliance.storage.clock import now_ms
from tests.conftest import PASSWORD


@dataclass
class StillClock:
    """Stands still until `turn`."""

    now: int = field(default_factory=lambda: now_ms() // STEP_MS * STEP_MS)

    def __call__(self) -> int:
        return self.now

    def turn(self, steps: int = 1) -> None:
        self.now += steps * STEP_MS

    def of(self, appliance: Appliance) -> StillClock:
        appliance.sessions._clock = appliance.enrolment._clock = appliance.api_keys._clock = self
        return self


@dataclass
class Phone:
    """An authenticator app, and the paper that lies beside it."""

    secret: str
    clock: StillClock
    recovery_codes: list[str] = field(default_factory=list)

    def code(self, steps: int = 0) -> str:
        return pyotp.TOTP(self.secret).generate_otp(self.clock.now // STEP_MS + steps)

    def next_code(self) -> str:
        """Once the last one is spent."""
        self.clock.turn()
        return self.code()

    def wrong_code(self) -> str:
        near = {self.code(steps) for steps in (-1, 0, 1)}
        return next(code for code in ("000000", "000001", "000002", "000003") if code not in near)


def enrol(appliance: Appliance, person: Principal, clock: StillClock) -> Phone:
    """Signed in, shown the picture, confirmed; the code of this step is spent, and the session of it has ended."""
    token = appliance.sessions.sign_in(person.name, PASSWORD, "enrolling")
    phone = Phone(appliance.enrolment.begin(person).secret, clock)
    enrolled = appliance.enrolment.confirm(person, token, PASSWORD, phone.code())
    phone.recovery_codes = enrolled.recovery_codes
    appliance.sessions.sign_out(enrolled.token)
    return phone
