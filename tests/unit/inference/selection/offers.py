"""Boxes, offers, policies and requests that the tests of selection speak of."""

from __future__ import annotations

from appliance.egress.seal.layers import Strength
from appliance.identity.models import Role
from appliance.inference.hardware.models import Accelerator, Hardware
from appliance.inference.load_failures import LoadFailure
from appliance.inference.selection.models import Offer, SelectionRequest
from appliance.inference.selection.policy import RoutingPolicy, parse_policy

EMPLOYEE, ADMINISTRATOR = frozenset({Role.EMPLOYEE}), frozenset({Role.EMPLOYEE, Role.ADMINISTRATOR})

DAMAGED = LoadFailure("setup.model_digest", "Its file is not the one that was imported.", 1, 0, 60_000)

BOXES = {
    "small": Hardware(cores=2, memory_total_mb=4_000, memory_available_mb=2_500),
    "large": Hardware(cores=16, memory_total_mb=64_000, memory_available_mb=50_000),
    "full": Hardware(cores=16, memory_total_mb=64_000, memory_available_mb=900),
    "card": Hardware(
        cores=8,
        memory_total_mb=16_000,
        memory_available_mb=12_000,
        accelerators=(Accelerator("cuda:0", "a card", 24_000, 23_000),),
    ),
    "small card": Hardware(
        cores=8,
        memory_total_mb=64_000,
        memory_available_mb=60_000,
        accelerators=(Accelerator("cuda:0", "an old card", 4_000, 3_800),),
    ),
    "metal": Hardware(
        cores=8,
        memory_total_mb=16_000,
        memory_available_mb=10_000,
        accelerators=(Accelerator("metal:0", "a shared one", shares_memory=True),),
    ),
    "npu": Hardware(
        cores=8,
        memory_total_mb=16_000,
        memory_available_mb=10_000,
        accelerators=(Accelerator("intel_npu:0", "a neural one", shares_memory=True),),
    ),
    "unknown": Hardware(),
}

OFFERS = {
    "micro": Offer("llamacpp", "smol@1", "smol", memory_mb=300, context_tokens=4_096),
    "small": Offer("llamacpp", "qwen@1", "qwen", size_class="small", memory_mb=2_600, context_tokens=32_768),
    "early": Offer("llamacpp", "aya@1", "aya", size_class="small", memory_mb=2_600, context_tokens=32_768),
    "medium": Offer("llamacpp", "mistral@1", "mistral", size_class="medium", memory_mb=9_000, context_tokens=32_768),
    "genai": Offer("genai", "phi@1", "phi", size_class="small", memory_mb=2_900, context_tokens=8_192),
    "card": Offer(
        "llamacpp", "gemma@1", "gemma", size_class="small", memory_mb=6_000, context_tokens=8_192, libraries=("cuda", "cpu")
    ),
    "card only": Offer(
        "foundry", "deep@1", "deep", size_class="small", memory_mb=3_000, context_tokens=8_192, libraries=("cuda",)
    ),
    "npu only": Offer("foundry", "tiny@1", "tiny", memory_mb=900, context_tokens=2_048, libraries=("openvino",)),
    "metal": Offer("ollama", "llama@1", "llama", size_class="small", memory_mb=3_000, context_tokens=8_192, libraries=("metal",)),
    "far": Offer("openai", "big@1", "big", size_class="medium", context_tokens=131_072, destination="lan-server", libraries=()),
    "broken": Offer("genai", "broken@1", "broken", memory_mb=300, context_tokens=4_096, unusable="It is not installed."),
    "crashed": Offer("llamacpp", "bad@1", "bad", memory_mb=300, context_tokens=4_096, crashed="It crashed."),
    "failed": Offer("llamacpp", "mistral@1", "mistral", "language", "medium", 9_000, 32_768, failed=DAMAGED),
    "failed genai": Offer("genai", "qwen@1", "qwen", "language", "small", 2_900, 8_192, failed=DAMAGED),
    "failed early": Offer("llamacpp", "aya@1", "aya", "language", "small", 2_600, 32_768, failed=DAMAGED),
    "failed older": Offer("llamacpp", "qwen@0", "qwen", "language", "small", 2_600, 32_768, failed=DAMAGED),
    "failed retired": Offer("llamacpp", "old@1", "old", "language", "medium", 9_000, 4_096, "retired", failed=DAMAGED),
    "failed far": Offer(
        "openai", "big@1", "big", "language", "medium", 0, 131_072, libraries=(), destination="lan-server", failed=DAMAGED
    ),
    "failed canary": Offer("llamacpp", "smol@3", "smol", "language", "micro", 300, 4_096, "canary", 100, failed=DAMAGED),
    "unmeasured": Offer("llamacpp", "unmeasured@1", "unmeasured", context_tokens=4_096),
    "candidate": Offer("llamacpp", "smol@2", "smol", memory_mb=300, context_tokens=4_096, state="candidate"),
    "canary": Offer("llamacpp", "smol@3", "smol", memory_mb=300, context_tokens=4_096, state="canary", canary_percent=100),
    "canary none": Offer("llamacpp", "smol@4", "smol", memory_mb=300, context_tokens=4_096, state="canary"),
    "canary group": Offer(
        "llamacpp", "smol@5", "smol", memory_mb=300, context_tokens=4_096, state="canary", canary_group="pilots"
    ),
    "canary large": Offer(
        "llamacpp",
        "huge@1",
        "huge",
        size_class="medium",
        memory_mb=90_000,
        context_tokens=4_096,
        state="canary",
        canary_percent=100,
    ),
    "retired": Offer("llamacpp", "smol@0", "smol", memory_mb=300, context_tokens=4_096, state="retired"),
    "odd state": Offer("llamacpp", "odd@1", "odd", memory_mb=300, context_tokens=4_096, state="lost"),
    "embedder": Offer("llamacpp", "minilm@1", "minilm", kind="embedding", memory_mb=100, context_tokens=512),
}

HEAD = """
classifications = ["public", "internal", "confidential", "secret"]
choosers = ["administrator"]
memory_headroom_mb = 500
device_headroom_mb = 500
devices = ["cuda", "metal", "intel_npu", "cpu"]
order = ["model", "runtime", "size", "device"]
"""
RULE = """
[rules.{name}]
runtimes = {runtimes}
models = {models}
destinations = {destinations}
seal = "{seal}"
canary = {canary}
"""


def policy_text(head: str = HEAD, **changes: dict[str, object]) -> str:
    """A policy that allows everything for public, and less and less above; `changes` by classification."""
    ways = {
        "public": (["llamacpp", "genai", "foundry", "ollama", "openai"], ["*"], ["lan-server"], "none", True),
        "internal": (["llamacpp", "genai", "foundry", "ollama"], ["*"], [], "none", True),
        "confidential": (["llamacpp", "genai"], ["qwen*", "*"], [], "filter", True),
        "secret": (["llamacpp"], ["smol", "qwen"], [], "namespace", False),
    }
    text = head
    for name, (runtimes, models, destinations, seal, canary) in ways.items():
        values = {"runtimes": runtimes, "models": models, "destinations": destinations, "seal": seal, "canary": canary}
        values |= changes.get(name, {})
        values["canary"] = str(values["canary"]).lower()
        text += RULE.format(name=name, **values)
    return text


POLICIES: dict[str, RoutingPolicy] = {
    "usual": parse_policy(policy_text()),
    "genai first": parse_policy(policy_text(internal={"runtimes": ["genai", "llamacpp"]})),
    "processor only": parse_policy(policy_text(HEAD.replace('"cuda", "metal", "intel_npu", ', ""))),
    "largest first": parse_policy(policy_text(HEAD.replace('"model", "runtime", "size"', '"size", "model", "runtime"'))),
    "roomy": parse_policy(policy_text(HEAD.replace("memory_headroom_mb = 500", "memory_headroom_mb = 10000"))),
    "anybody chooses": parse_policy(policy_text(HEAD.replace('["administrator"]', '["administrator", "employee"]'))),
    "nothing": parse_policy(policy_text(internal={"runtimes": []})),
}


def ask(classification: str = "internal", **values: object) -> SelectionRequest:
    return SelectionRequest(classification, **{"roles": EMPLOYEE, "conversation_id": "c1", "seal": Strength.NAMESPACE, **values})
