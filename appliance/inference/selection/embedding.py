"""Whether a model inside a server may embed: it would be sent every document and question, so all of the policy must allow it."""

from __future__ import annotations

from collections.abc import Collection

from appliance.egress.seal.layers import Strength
from appliance.errors import Denied
from appliance.inference.selection.models import Offer, SelectionRequest
from appliance.inference.selection.objections import of_policy
from appliance.inference.selection.policy import RoutingPolicy
from appliance.inference.store.versions import ModelVersion

OLLAMA = "ollama"


def require_allowed(version: ModelVersion, policy: RoutingPolicy, seal: Strength, found: Collection[str]) -> None:
    """Raise `Denied` (`inference.embedding_forbidden`) unless each classification of the policy allows it, and each of those
    `found` on this box, of which the policy may know nothing. What runs in the box's own processes is not asked.
    """
    if version.kind != "embedding" or version.format != "served":
        return
    offer = Offer(OLLAMA, version.id, version.name, kind="embedding")
    for classification in dict.fromkeys((*policy.classifications, *sorted(found))):
        for _, sentence in of_policy(offer, policy, SelectionRequest(classification, seal=seal)):
            raise Denied(
                f"{version.id} would be sent every document and question of this box. {sentence}",
                code="inference.embedding_forbidden",
                classification=classification,
            )
