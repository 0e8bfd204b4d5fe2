"""Figures of the answers and what people say about them, as administrators see them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from appliance.chat.policy import Measured, Silence
from appliance.quality.alerts import Alert
from appliance.quality.models import COUNTS, SPREADS, Figures
from appliance.quality.review import QualityReport
from appliance.quality.voices import SharedExchange, Voice, Voices


class SpreadOut(msgspec.Struct):
    """Of how many values, and the two that half and 95 % of them do not exceed; times in milliseconds."""

    count: int
    median: float | None
    p95: float | None


class FiguresOut(msgspec.Struct):
    """As `appliance/quality/models.py` explains them."""

    start_ms: int
    questions: int
    answered: int
    abstained: int
    stopped: int
    failed: int
    helpful: int
    unhelpful: int
    supported: int
    withheld: int
    search_score: SpreadOut
    first_word: SpreadOut
    whole_time: SpreadOut

    @classmethod
    def of(cls, figures: Figures) -> FiguresOut:
        counts = {name: getattr(figures, name) for name in COUNTS}
        spreads = {name: getattr(figures, name) for name in SPREADS}
        shown = {name: SpreadOut(each.count, each.quantile(0.5), each.quantile(0.95)) for name, each in spreads.items()}
        return msgspec.convert({"start_ms": figures.start_ms} | counts | shown, cls)


class AlertOut(msgspec.Struct):
    """What has drifted, since when, and until when where that is over."""

    measure: str
    begun_ms: int
    ended_ms: int | None
    sentence: str

    @classmethod
    def of(cls, alert: Alert) -> AlertOut:
        return cls(alert.measure.value, alert.begun_ms, alert.ended_ms, alert.sentence)


class MeasuredOut(msgspec.Struct):
    """Shares met with silence, by threshold: of the questions that documents do not answer (`right`), of the others (`false`)."""

    questions: str
    right: dict[str, float]
    false: dict[str, float]


class QualityOut(msgspec.Struct):
    """Steps of `step_ms` in which nothing happened are left out."""

    since_ms: int
    until_ms: int
    step_ms: int
    figures: list[FiguresOut]
    alerts: list[AlertOut]
    threshold: float
    measured: list[MeasuredOut]

    @classmethod
    def of(cls, report: QualityReport, silence: Silence, measured: Sequence[Measured]) -> QualityOut:
        return cls(
            report.since_ms,
            report.until_ms,
            report.step_ms,
            [FiguresOut.of(each) for each in report.figures],
            [AlertOut.of(each) for each in report.alerts],
            silence.threshold,
            [msgspec.convert(each, MeasuredOut, from_attributes=True) for each in measured],
        )


class SharedExchangeOut(msgspec.Struct):
    """`answer` is None where the reader may not read all documents that it rests on."""

    message_id: str
    question: str
    answer: str | None
    collection_ids: list[str]

    @classmethod
    def of(cls, shown: SharedExchange) -> SharedExchangeOut:
        return cls(shown.message_id, shown.question, shown.answer, list(shown.collection_ids))


class VoiceOut(msgspec.Struct):
    """`day_ms` is the beginning of a day of UTC; `shown` is None where its person did not show question and answer."""

    day_ms: int
    helpful: bool
    kind: str
    comment: str
    shown: SharedExchangeOut | None

    @classmethod
    def of(cls, voice: Voice) -> VoiceOut:
        shown = None if voice.shown is None else SharedExchangeOut.of(voice.shown)
        return cls(voice.day_ms, voice.helpful, voice.kind.value, voice.comment, shown)


class VoicesOut(msgspec.Struct):
    helpful: int
    unhelpful: int
    kinds: dict[str, int]
    page: list[VoiceOut]
    more: bool

    @classmethod
    def of(cls, voices: Voices) -> VoicesOut:
        kinds = {kind.value: count for kind, count in voices.kinds.items()}
        return cls(voices.helpful, voices.unhelpful, kinds, [VoiceOut.of(each) for each in voices.page], voices.more)
