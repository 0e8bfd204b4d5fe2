"""Language models through the Foundry Local SDK: one answer at a time, the others wait in line."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError, InvalidInput, Unavailable
from appliance.inference.estimate import check_fits, check_whole, fewest_tokens
from appliance.inference.folder_tokenizer import ChatTokenizer
from appliance.inference.foundry.library import CatalogueModel, failures
from appliance.inference.models import CompletionRequest, Delta, FinishReason, Health, Model, PromptMessage, Usage
from appliance.inference.waiting_line import WaitingLine, ends_at, stopped

WAITING_LIMIT = 8
_LOOK_S = 0.05
_FAILED = "The language model stopped working"
_FINISH = {"STOP": FinishReason.STOP, "LENGTH": FinishReason.LENGTH}


class FoundryRuntime:
    """One model of the local catalogue. The SDK takes text, so markers in what people wrote are broken before it sees them."""

    def __init__(
        self,
        model: Model,
        folder: Path,
        context_tokens: int,
        threads: int,
        *,
        device: str = "cpu",
        library: str = "cpu",
        waiting_limit: int = WAITING_LIMIT,
    ) -> None:
        self._tokenizer = ChatTokenizer(folder)
        self._native = CatalogueModel(
            folder,
            description=self._tokenizer.for_others(),
            context_tokens=context_tokens,
            threads=threads,
            device=device,
            library=library,
        )
        self._model = model
        self._context_tokens = context_tokens
        self._line = WaitingLine(waiting_limit)
        self.device = self._native.device

    @property
    def model(self) -> Model:
        return self._model

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def count_tokens(self, messages: Sequence[PromptMessage]) -> int:
        return len(self._tokenizer.render(self._plain(messages)))

    def complete(self, request: CompletionRequest) -> Iterator[Delta]:
        if request.grammar or request.json_schema:
            raise InvalidInput("Foundry Local holds no answer to a grammar or a schema.", code="inference.unsupported")
        messages = self._plain(request.messages)
        prompt_tokens = len(self._tokenizer.render(messages))
        check_fits(prompt_tokens, request.max_tokens, self._context_tokens)
        answer = _Answer(replace(request, messages=messages), prompt_tokens, self._native, self._line)
        deltas = answer.deltas()
        weakref.finalize(deltas, answer.give_up)  # a generator that was never begun has no end either
        return deltas

    def health(self) -> Health:
        running, waiting = self._line.counts()
        if self._native.closed.is_set():
            return Health(ready=False, detail="The language model has been unloaded.", device=self.device)
        if self._line.hung():
            return Health(ready=False, detail="The language model does not answer any more.", device=self.device)
        return Health(ready=True, device=self.device, running=running, waiting=waiting)

    def close(self) -> None:
        """Answers still running end as `inference.closed`; the memory is given back once the SDK has let go of them."""
        self._native.close()

    def _plain(self, messages: Sequence[PromptMessage]) -> tuple[PromptMessage, ...]:
        return tuple(replace(message, text=self._tokenizer.without_markers(message.text)) for message in messages)


class _Answer:
    """One request, asked in a thread of its own: the SDK notices a stop only once it has read the prompt; nobody shall wait."""

    def __init__(self, request: CompletionRequest, prompt_tokens: int, native: CatalogueModel, line: WaitingLine) -> None:
        self._request, self._native, self._line = request, native, line
        self._prompt_tokens, self._written = prompt_tokens, 0
        self._end = ends_at(request)
        self._pieces: queue.SimpleQueue[Delta | ApplianceError] = queue.SimpleQueue()
        self._given_up = threading.Event()
        self._begun = False
        self._place = line.join()

    def deltas(self) -> Iterator[Delta]:
        try:
            if self._line.reach(self._place, self._request, self._end):
                self._begun = True
                threading.Thread(target=self._ask, name="foundry-answer", daemon=True).start()
                yield from self._answer()
            else:
                yield self._cancelled()
        finally:
            self.give_up()

    def _answer(self) -> Iterator[Delta]:
        while not self._over():
            try:
                piece = self._pieces.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if isinstance(piece, ApplianceError):
                if self._over():
                    break  # told to stop by the one who watches: that is no failure
                raise piece
            self._written += piece.finish_reason is None
            yield piece
            if piece.finish_reason is not None:
                return
        if self._native.closed.is_set():
            raise Unavailable("The language model has been unloaded.", code="inference.closed")
        yield self._cancelled()

    def _cancelled(self) -> Delta:
        return Delta("", FinishReason.CANCELLED, Usage(self._prompt_tokens, self._written))

    def give_up(self) -> None:
        """Ask for no more. Where it was begun, the place in line is free once the SDK has let go."""
        self._given_up.set()
        if not self._begun:
            self._line.leave(self._place)

    def _over(self) -> bool:
        return self._native.closed.is_set() or stopped(self._request, self._end)

    def _ask(self) -> None:
        try:
            with failures("inference.failed", _FAILED), self._native.session() as session:
                self._stream(session)
        except ApplianceError as error:
            self._pieces.put(error)
        finally:
            self._line.leave(self._place)

    def _stream(self, session: Any) -> None:
        from foundry_local_sdk import Request

        with Request() as asked:
            self._fill(asked)
            over = threading.Event()
            watcher = threading.Thread(target=self._watch, args=(asked, over), name="foundry-watch", daemon=True)
            watcher.start()
            try:
                with session.process_streaming_request(asked) as stream:
                    for item in stream:
                        if item.text:
                            self._pieces.put(Delta(item.text))
                    with stream.final_response as last:
                        self._pieces.put(self._last(last))
            finally:
                over.set()
                watcher.join()

    def _fill(self, asked: Any) -> None:
        from foundry_local_sdk import MessageItem, MessageRole, RequestOptions, SearchOptions

        roles = {"system": MessageRole.SYSTEM, "user": MessageRole.USER, "assistant": MessageRole.ASSISTANT}
        for message in self._request.messages:
            asked.add_item(MessageItem(roles[message.role], message.text))
        search = SearchOptions(max_output_tokens=self._request.max_tokens, do_sample=self._request.temperature > 0)
        if self._request.temperature > 0:
            search.temperature, search.seed, search.top_k, search.top_p = self._request.temperature, self._request.seed, 0, 1.0
        asked.set_options(RequestOptions(search))

    def _watch(self, asked: Any, over: threading.Event) -> None:
        """A cancellation that comes before the SDK has begun is lost, so it is repeated until the request is over."""
        while not over.wait(_LOOK_S):
            if self._given_up.is_set() or self._over():
                with failures("inference.failed", _FAILED):
                    asked.cancel()

    def _last(self, response: Any) -> Delta:
        used = response.get_usage()
        finish = _FINISH.get(response.finish_reason.name)
        if finish is None:
            raise Unavailable(f"{_FAILED}.", code="inference.failed")
        read = check_whole(used.prompt_tokens, fewest_tokens(self._request.messages))
        return Delta("", finish, Usage(prompt_tokens=read, completion_tokens=used.completion_tokens))
