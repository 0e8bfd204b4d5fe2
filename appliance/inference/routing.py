"""From a question's classification to the runtime that answers it: select, load, lend.

What cannot be loaded is passed over for the next that the same decision permits, and for no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Protocol

from appliance.egress.seal.layers import Strength
from appliance.errors import ApplianceError, Denied, InvalidInput, NotFound, SetupError, Unavailable
from appliance.identity.models import Role
from appliance.inference.hardware.models import Hardware
from appliance.inference.load_failures import LoadFailure
from appliance.inference.models import Health
from appliance.inference.placement import LoadedRuntime, Placement
from appliance.inference.pool import RuntimeKey, RuntimePool, Told
from appliance.inference.runtime import Runtime, SendsElsewhere
from appliance.inference.selection.decide import select
from appliance.inference.selection.models import CHOICE_DENIED, Candidate, Offer, Reason, Selection, SelectionRequest
from appliance.inference.selection.offers import supposed
from appliance.inference.selection.policy import RoutingPolicy

_IN_PROCESS = frozenset({"foundry", "genai", "llamacpp"})
_NOT_OF_THE_MODEL = frozenset({"inference.busy", "inference.closed"})
"""It serves others at the moment, or this process ends: nothing that another model would do better."""

_UNREACHABLE = "inference.unreachable"

ROOM_S = 60.0
"""So long a question waits for the memory of a model that answers others."""

_LOOK_S = 0.25

OfferKey = tuple[str, str, str]


class Failures(Protocol):
    """Who is told what could not be loaded."""

    def failed(self, offer: Offer, error: ApplianceError, instead: str) -> None:
        """`instead` is the model that is taken in its place, empty where there is none."""

    def loaded(self, offer: Offer) -> None:
        """It can be."""


class Untold:
    """For a router that leaves nothing behind."""

    def failed(self, offer: Offer, error: ApplianceError, instead: str) -> None: ...

    def loaded(self, offer: Offer) -> None: ...


class Router:
    """Decides anew for each answer, from what is installed and in which state it is at that moment."""

    def __init__(
        self,
        *,
        hardware: Callable[[], Hardware],
        offers: Callable[[], Sequence[Offer]],
        policy: RoutingPolicy,
        seal: Callable[[], Strength],
        pool: RuntimePool,
        placed: Callable[[Placement], None] = lambda _: None,
        failures: Failures | None = None,
        follows: bool = True,
    ) -> None:
        """`placed` hears where each model that is lent computes, and again where that changes.

        Without `follows` nothing is passed over, whatever failed before: what is asked about one model says nothing of another.
        """
        self._failures = failures or Untold()
        self._follows = follows
        self._placed = placed
        self._known: dict[RuntimeKey, str] = {}
        self._hardware = hardware
        self._offers = offers
        self.policy = policy
        self._seal = seal
        self._pool = pool

    def select(self, request: SelectionRequest) -> Selection:
        """The decision for this request on this box; what is loaded and how far the box is sealed are filled in here."""
        return self._select(request, {}, remembered=self._follows)

    def _select(
        self, request: SelectionRequest, failed: Mapping[OfferKey, LoadFailure], *, remembered: bool, later: bool = False
    ) -> Selection:
        """`failed` is what could not be loaded for this very question; `remembered`: what failed for others counts, too.

        With `later` as it would be once nothing that is loaded now answers any more.
        """
        held = self._pool.loaded()
        loaded = frozenset(key.model_id for key in held)
        here = {(key.model_id, key.runtime, key.destination) for key in held}
        offers = [
            replace(offer, failed=failed.get(offer.key) or (offer.failed if remembered and offer.key not in here else None))
            for offer in self._offers()
        ]
        asked = replace(request, seal=self._seal(), loaded=loaded)
        # what nobody uses goes before another model is loaded, and must not keep it from that
        given_back = _weights_mb(held if later else self._pool.idle())
        return select(self._hardware().without(given_back), offers, self.policy, asked)

    @contextmanager
    def lend(self, selection: Selection, told: Told = lambda _: None) -> Iterator[Runtime]:
        """The runtime for the length of one answer; `told` hears how far it is where it must be loaded first.

        Raises `Denied` or `Unavailable` where none may or can answer.
        """
        key = _key(selection.require())
        with self._pool.use(key, told) as runtime:
            self._note(key, runtime)
            yield runtime.under(selection.classification) if isinstance(runtime, SendsElsewhere) else runtime

    @contextmanager
    def lend_loadable(
        self,
        request: Callable[[], SelectionRequest],
        told: Told = lambda _: None,
        decided: Callable[[Selection], None] = lambda _: None,
    ) -> Iterator[tuple[Selection, Runtime]]:
        """As `lend`, by the first that is permitted and can be loaded. What fails in the middle of an answer is raised.

        `request` is asked again before each decision, since loading takes time; `decided` hears each of them. Where nothing is
        left, raises why the first one could not be loaded; where nothing was permitted from the start, as `lend`. Where memory
        is all that is missing, and a model that still answers holds it, as after an activation, that is waited for a while.
        """
        waits_until = time.monotonic() + ROOM_S
        failed: dict[OfferKey, LoadFailure] = {}
        first: ApplianceError | None = None
        untold: list[tuple[Offer, ApplianceError]] = []
        while True:
            selection = self._following(request(), failed)
            if self._room_comes(selection, request, failed) and time.monotonic() < waits_until:
                told(0.0)
                time.sleep(_LOOK_S)
                continue
            decided(selection)
            instead = selection.winner.offer.model_id if selection.winner else ""
            while untold:
                self._failures.failed(*untold.pop(), instead)
            if selection.winner is None and first is not None:
                raise first
            chosen = selection.require()
            fresh = _key(chosen) not in self._pool.loaded()
            with ExitStack() as stack:
                try:
                    runtime = stack.enter_context(self.lend(selection, told))
                except (InvalidInput, NotFound, SetupError, Unavailable) as error:
                    if not self._follows or error.stable_code in _NOT_OF_THE_MODEL:
                        raise
                    first = first or error
                    failed[chosen.offer.key] = LoadFailure(error.stable_code, error.sentence, 1, 0, 0)
                    untold.append((chosen.offer, error))
                    continue
                if self._follows:
                    self._failures.loaded(chosen.offer)
                if fresh and request().classification != selection.classification:
                    continue  # its documents were classified anew while it was loaded
                with self._left_behind(chosen):
                    yield selection, runtime
                return

    def _following(self, request: SelectionRequest, failed: Mapping[OfferKey, LoadFailure]) -> Selection:
        """Where nothing else is left, what others could not load is tried once more rather than refused unseen."""
        selection = self._select(request, failed, remembered=self._follows)
        if selection.winner is None and any(one.reason is Reason.LOAD_FAILED for one in selection.candidates):
            return self._select(request, failed, remembered=False)
        return selection

    def _room_comes(
        self, selection: Selection, request: Callable[[], SelectionRequest], failed: Mapping[OfferKey, LoadFailure]
    ) -> bool:
        """Whether one of them could answer once those that answer now are done."""
        if selection.winner is not None or not any(one.reason is Reason.MEMORY_SHORT for one in selection.candidates):
            return False
        if self._pool.idle().keys() == self._pool.loaded().keys():
            return False
        return self._select(request(), failed, remembered=False, later=True).winner is not None

    @contextmanager
    def _left_behind(self, chosen: Candidate) -> Iterator[None]:
        """A server that is gone fails this answer; the next question finds that out before it begins."""
        try:
            yield
        except Unavailable as error:
            if self._follows and error.stable_code == _UNREACHABLE:
                self._pool.drop(_key(chosen))
                self._failures.failed(chosen.offer, error, "")
            raise

    def supposing(self, version_id: str = "") -> Router:
        """One that decides as if this version were the active one of its name and nothing were on trial.

        Without a version it decides as for a conversation that no trial concerns. It shares what is loaded.
        """

        def offers() -> list[Offer]:
            return supposed(self._offers(), version_id)

        return Router(
            hardware=self._hardware,
            offers=offers,
            policy=self.policy,
            seal=self._seal,
            pool=self._pool,
            placed=self._placed,
            follows=False,
        )

    def check_choice(self, roles: Collection[Role], chosen: str) -> None:
        """Whether a person with these roles may choose this model, by its name or the id of a version.

        Raises `Denied` (`inference.choice_denied`) before it is known whether there is such a model, then `InvalidInput`.
        """
        if not any(chosen in {offer.model_id, offer.name} for offer in self.choices(roles)):
            raise InvalidInput(f"There is no language model {chosen} in service on this box.", code="inference.no_model")

    def choices(self, roles: Collection[Role]) -> list[Offer]:
        """What a person with these roles may choose from by hand. Raises `Denied` (`inference.choice_denied`)."""
        if not self.policy.choosers & frozenset(roles):
            raise Denied("You may not choose the model yourself.", code=CHOICE_DENIED)
        return [offer for offer in self._offers() if offer.kind == "language" and offer.state != "retired"]

    def warm(self) -> None:
        """Load what would answer the usual question now, so that the first person does not wait for it. Raises as `lend`."""
        with self.lend_loadable(lambda: SelectionRequest(self.policy.highest(()))):
            pass

    def loaded(self) -> list[LoadedRuntime]:
        """What is loaded now, and how it is. A server elsewhere is not asked: each call to it is on record."""
        found = []
        for key, runtime in self._pool.loaded().items():
            if key.destination:
                found.append(LoadedRuntime(key.runtime, key.model_id, key.destination, Health(ready=True, device="")))
                continue
            health = self._note(key, runtime)
            found.append(LoadedRuntime(key.runtime, key.model_id, "", health, self._placement(key, health.device)))
        return found

    def _note(self, key: RuntimeKey, runtime: Runtime) -> Health:
        if key.destination:
            return Health(ready=True, device="")
        health = runtime.health()
        if self._known.get(key) != health.device:
            self._known[key] = health.device
            self._placed(self._placement(key, health.device))
        return health

    def _placement(self, key: RuntimeKey, used: str) -> Placement:
        return Placement(key.runtime, key.model_id, key.device, used, self._hardware().best(self.policy.devices))

    def broken(self) -> str:
        """Why a model inside this process can answer no more, which only the end of the process mends; empty where all can."""
        for key, runtime in self._pool.loaded().items():
            if key.runtime in _IN_PROCESS and not (health := runtime.health()).ready:
                return health.detail
        return ""

    def close(self) -> None:
        """Give back every loaded runtime."""
        self._pool.close()


def _weights_mb(runtimes: Mapping[RuntimeKey, Runtime]) -> dict[str, int]:
    """What they take at least, by device of this box."""
    held: dict[str, int] = {}
    for key, runtime in runtimes.items():
        if not key.destination:
            held[key.device] = held.get(key.device, 0) + runtime.model.size_bytes // 1_000_000
    return held


def _key(chosen: Candidate) -> RuntimeKey:
    offer = chosen.offer
    return RuntimeKey(offer.runtime, offer.model_id, chosen.device, offer.destination, chosen.library)
