"""From a question's classification to the runtime that answers it: select, load, lend."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from appliance.egress.seal.layers import Strength
from appliance.errors import Denied, InvalidInput
from appliance.identity.models import Role
from appliance.inference.hardware.models import Hardware
from appliance.inference.models import Health
from appliance.inference.placement import LoadedRuntime, Placement
from appliance.inference.pool import RuntimeKey, RuntimePool, Told
from appliance.inference.runtime import Runtime, SendsElsewhere
from appliance.inference.selection.decide import select
from appliance.inference.selection.models import CHOICE_DENIED, Offer, Selection, SelectionRequest
from appliance.inference.selection.offers import supposed
from appliance.inference.selection.policy import RoutingPolicy

_IN_PROCESS = frozenset({"foundry", "genai", "llamacpp"})


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
    ) -> None:
        """`placed` hears where each model that is lent computes, and again where that changes."""
        self._placed = placed
        self._known: dict[RuntimeKey, str] = {}
        self._hardware = hardware
        self._offers = offers
        self.policy = policy
        self._seal = seal
        self._pool = pool

    def select(self, request: SelectionRequest) -> Selection:
        """The decision for this request on this box; what is loaded and how far the box is sealed are filled in here."""
        loaded = frozenset(key.model_id for key in self._pool.loaded())
        asked = replace(request, seal=self._seal(), loaded=loaded)
        return select(self._hardware(), self._offers(), self.policy, asked)

    @contextmanager
    def lend(self, selection: Selection, told: Told = lambda _: None) -> Iterator[Runtime]:
        """The runtime for the length of one answer; `told` hears how far it is where it must be loaded first.

        Raises `Denied` or `Unavailable` where none may or can answer.
        """
        chosen = selection.require()
        offer = chosen.offer
        key = RuntimeKey(offer.runtime, offer.model_id, chosen.device, offer.destination, chosen.library)
        with self._pool.use(key, told) as runtime:
            self._note(key, runtime)
            yield runtime.under(selection.classification) if isinstance(runtime, SendsElsewhere) else runtime

    def supposing(self, version_id: str = "") -> Router:
        """One that decides as if this version were the active one of its name and nothing were on trial.

        Without a version it decides as for a conversation that no trial concerns. It shares what is loaded.
        """

        def offers() -> list[Offer]:
            return supposed(self._offers(), version_id)

        return Router(
            hardware=self._hardware, offers=offers, policy=self.policy, seal=self._seal, pool=self._pool, placed=self._placed
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
        with self.lend(self.select(SelectionRequest(self.policy.highest(())))):
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
