"""From a version in the store to a runtime that can answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from appliance.errors import NotFound
from appliance.inference.instructed import InstructedRuntime
from appliance.inference.load_marks import Load, LoadMarks
from appliance.inference.pool import RuntimeKey, Told
from appliance.inference.registry import LoadRequest, RuntimeSpec, runtime_spec
from appliance.inference.runtime import Runtime
from appliance.inference.store import ModelStore
from appliance.inference.store.modelfiles import modelfile_of
from appliance.storage.digests import Watch

if TYPE_CHECKING:
    from appliance.egress.gate import Gate

_STEP = 0.05


class Loader:
    """Loads what a `RuntimePool` asks for, its content verified in full each time."""

    def __init__(
        self,
        models: ModelStore,
        gate: Callable[[], Gate],
        *,
        context_tokens: int,
        threads: int,
        slots: int,
        spec_of: Callable[[str], RuntimeSpec] = runtime_spec,
        marks: LoadMarks | None = None,
    ) -> None:
        """`gate` is asked for only by a model in a server; `marks` remember what crashed while it was loaded."""
        self._marks = marks
        self._spec_of = spec_of
        self._models = models
        self._gate = gate
        self._context_tokens = context_tokens
        self._threads = threads
        self._slots = slots

    def __call__(self, key: RuntimeKey, told: Told = lambda _: None) -> Runtime:
        """`told` hears how much of the model's content was read and verified: of a large one, most of the wait.

        Raises `NotFound`, `SetupError` or `Unavailable`, each with a sentence that can be shown.
        """
        version = next((version for version in self._models.versions() if version.id == key.model_id), None)
        if version is None:
            raise NotFound(f"There is no model {key.model_id} on this box.", code="inference.no_model")
        modelfile = modelfile_of(version.prompt)
        watch = _watched(version.size_bytes, told)
        content = None if version.format == "served" else self._models.open_version(version.id, watch)
        try:
            runtime = self._marked(
                self._spec_of(key.runtime),
                LoadRequest(
                    model=version.as_model(),
                    path=content.path if content else None,
                    context_tokens=min(self._context_tokens, version.context_tokens),
                    threads=self._threads,
                    device=key.device,
                    library=key.library,
                    slots=self._slots,
                    adapters=content.adapters if content else (),
                    template=modelfile.template if modelfile else "",
                    destination=key.destination,
                    gate=self._gate() if key.destination else None,
                ),
            )
        finally:
            if content is not None:
                content.close()  # what is loaded is in the runtime's own memory
        return InstructedRuntime(runtime, modelfile) if modelfile else runtime

    def _marked(self, spec: RuntimeSpec, request: LoadRequest) -> Runtime:
        if request.path is None or self._marks is None:
            return spec.load(request)
        with self._marks.around(Load(request.model.sha256, spec.name), request.model.id):
            return spec.load(request)


def _watched(total: int, told: Told) -> Watch:
    """As shares of `total`, over all files of a folder, and not more often than a person can see."""
    before, last, shown = 0, 0, 0.0

    def watch(done: int, _size: int) -> None:
        nonlocal before, last, shown
        if done < last:  # the next file
            before += last
        last = done
        share = min(1.0, (before + done) / max(total, 1))
        if share >= shown + _STEP or share == 1 > shown:
            shown = share
            told(share)

    return watch
