"""The model's text on its way to the person: as it comes, or sentence by sentence once each is checked."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.chat.citations import AnswerDraft
from appliance.chat.sentences import Sentence, repeats_itself, split_sentences
from appliance.chat.sink import ToleratingSink
from appliance.chat.work import Work
from appliance.errors import Unavailable
from appliance.inference.models import CompletionRequest, FinishReason, Usage
from appliance.inference.runtime import Runtime

OVERDUE = "The answer was not finished in the time that one may take, so it was given up."
_DELTAS_AFTER_CANCEL = 4


def stream_live(
    work: Work, request: CompletionRequest, runtime: Runtime, sink: ToleratingSink, draft: AnswerDraft
) -> FinishReason:
    """Show the model's text as it comes, but for what nobody may see, and check it when it has ended; why it ended."""
    text, shown, repeated = "", 0, False
    live = draft.live_text()
    pieces = _Pieces(work, request, runtime, sink)
    for piece in pieces:
        shown += _show(sink, live.add(piece), shown)
        text += piece
        if repeats_itself(text):
            repeated = True
            request.cancelled.set()
    _show(sink, live.end(), shown)
    draft.add_checked(text)
    return FinishReason.STOP if repeated else pieces.reason


def stream_checked(
    work: Work, request: CompletionRequest, runtime: Runtime, sink: ToleratingSink, draft: AnswerDraft
) -> FinishReason:
    """Show the quotations at once, then each of the model's sentences once it is finished and supported.

    The first sentence that is not supported ends the answer: a small model that has begun to invent goes on inventing.
    """
    shown = _show_new(sink, draft, 0)
    if shown:
        work.mark("first_delta_ms")
    text, waiting, trusted = "", "", True
    pieces = _Pieces(work, request, runtime, sink)
    for piece in pieces:
        text, waiting = text + piece, waiting + piece
        *finished, last = split_sentences(waiting) or [Sentence("", 0, 0)]
        for sentence in finished:
            trusted = trusted and draft.add_checked(sentence.text)
        waiting = waiting[last.start :]
        shown = _show_new(sink, draft, shown)
        if not trusted or repeats_itself(text):
            trusted = False
            request.cancelled.set()
    if trusted and pieces.reason is FinishReason.STOP:
        draft.add_checked(waiting)
        _show_new(sink, draft, shown)
    return pieces.reason if trusted and pieces.reason is FinishReason.CANCELLED else FinishReason.STOP


def stream_again(
    work: Work, request: CompletionRequest, runtime: Runtime, sink: ToleratingSink, draft: AnswerDraft
) -> FinishReason:
    """A second try in the place of a first that was shown and that nothing supports; tokens count for both.

    One that takes too long ends as it is: the passages can still be quoted, as where it finds no words.
    """
    sink.reset(work.claim.attempt)
    sink.stage("again")
    first, work.usage = work.usage, Usage()
    try:
        return stream_checked(work, request, runtime, sink, draft)
    except Unavailable as error:
        if error.stable_code != "inference.timeout":
            raise
        return FinishReason.LENGTH
    finally:
        work.usage = first + work.usage


def _show(sink: ToleratingSink, text: str, offset: int) -> int:
    if text:
        sink.delta(text, offset)
    return len(text)


def _show_new(sink: ToleratingSink, draft: AnswerDraft, shown: int) -> int:
    text = draft.checked().text
    if len(text) > shown:
        sink.delta(text[shown:], shown)
    return len(text)


class _Pieces:
    """The model's text piece by piece; afterwards `reason` tells why it ended.

    Raises `Unavailable` (`inference.timeout`) where that was its deadline.
    """

    def __init__(self, work: Work, request: CompletionRequest, runtime: Runtime, sink: ToleratingSink) -> None:
        self._work, self._request, self._runtime, self._sink = work, request, runtime, sink
        self.reason = FinishReason.STOP

    def __iter__(self) -> Iterator[str]:
        written, ignored = False, 0
        for delta in self._runtime.complete(self._request):
            self.reason = delta.finish_reason or self.reason
            self._work.usage = delta.usage or self._work.usage
            if self._request.cancelled.is_set():
                self.reason = FinishReason.CANCELLED
                ignored += 1
                if ignored > _DELTAS_AFTER_CANCEL:
                    break
            elif delta.text:
                if not written:
                    self._work.mark("first_delta_ms")
                    self._work.mark("first_token_ms")
                    self._sink.stage("writing")
                written = True
                yield delta.text
        self._work.mark("written_ms")
        if self.reason is FinishReason.CANCELLED and not self._request.cancelled.is_set():
            raise Unavailable(OVERDUE, code="inference.timeout")
