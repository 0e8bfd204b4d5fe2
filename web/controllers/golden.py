"""Golden sets of questions, for administrators who may read the collections they are about."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from litestar import Controller, Request, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Stream, Template

from appliance.audit.events import EventName
from appliance.errors import InvalidInput
from appliance.identity.models import Principal
from appliance.policy.actions import Action
from web.dependencies import Box, Caller, Jobs
from web.downloads import attachment
from web.guards import declares
from web.pages import page
from web.schemas.golden import (
    Added,
    GoldenSetChange,
    GoldenSetDetail,
    GoldenSetOut,
    IndexComparisonOut,
    Made,
    NewGoldenSet,
    Override,
    ProgressOut,
    QuestionIn,
    ResultOut,
    RunOrder,
    RunOut,
)
from web.schemas.models import ModelVersionOut

if TYPE_CHECKING:
    from appliance.bootstrap import Appliance

IMPORT_LIMIT_BYTES = 4_000_000
_READS = declares(Action.GOLDEN_READ, EventName.GOLDEN_READ)
_UPDATES = declares(Action.GOLDEN_UPDATE, EventName.GOLDEN_UPDATED)
_STARTS = declares(Action.GOLDEN_RUN, EventName.GOLDEN_STARTED)
_FRAME = declares(Action.GOLDEN_READ, unaudited="an empty frame; what it shows comes by the JSON routes")
_COUNTS = declares(Action.GOLDEN_READ, unaudited="how far runs are, in numbers; opening what came of them is audited")


class GoldenController(Controller):
    @get("/admin/evaluation", opt=_FRAME, sync_to_thread=True)
    def evaluation_page(self, request: Request[Any, Any, Any]) -> Template:
        return page(request, "admin_evaluation.html")

    @get("/api/golden", opt=_READS, sync_to_thread=True)
    def sets(self, appliance: Box, principal: Caller) -> list[GoldenSetOut]:
        return [GoldenSetOut.of(overview) for overview in appliance.golden.sets(principal)]

    @post("/api/golden", opt=declares(Action.GOLDEN_UPDATE, EventName.GOLDEN_CREATED), sync_to_thread=True)
    def create(self, appliance: Box, principal: Caller, data: JSONBody[NewGoldenSet]) -> Made:
        return Made(appliance.golden.create(principal, data.collection_id, data.name).id)

    @get("/api/golden/progress", opt=_COUNTS, sync_to_thread=True)
    def progress(self, appliance: Box, principal: Caller) -> list[ProgressOut]:
        return [ProgressOut.of(run) for run in appliance.golden.progress(principal)]

    @get("/api/golden/{set_id:str}", opt=_READS, sync_to_thread=True)
    def detail(self, appliance: Box, principal: Caller, set_id: FromPath[str]) -> GoldenSetDetail:
        return GoldenSetDetail.of(appliance.golden.detail(principal, set_id))

    @patch("/api/golden/{set_id:str}", opt=_UPDATES, status_code=204, sync_to_thread=True)
    def change(self, appliance: Box, principal: Caller, set_id: FromPath[str], data: JSONBody[GoldenSetChange]) -> None:
        appliance.golden.change(
            principal,
            set_id,
            name=data.name,
            required=data.required,
            schedule=data.schedule,
            hour=data.hour,
            weekday=data.weekday,
        )

    @delete("/api/golden/{set_id:str}", opt=declares(Action.GOLDEN_UPDATE, EventName.GOLDEN_DELETED), sync_to_thread=True)
    def remove(self, appliance: Box, principal: Caller, set_id: FromPath[str]) -> None:
        appliance.golden.delete(principal, set_id)

    @post("/api/golden/{set_id:str}/questions", opt=_UPDATES, sync_to_thread=True)
    def add(self, appliance: Box, principal: Caller, set_id: FromPath[str], data: JSONBody[QuestionIn]) -> Added:
        return Added(len(appliance.golden.add(principal, set_id, [data.expected()])))

    @patch("/api/golden/{set_id:str}/questions/{question_id:str}", opt=_UPDATES, status_code=204, sync_to_thread=True)
    def change_question(
        self,
        appliance: Box,
        principal: Caller,
        set_id: FromPath[str],
        question_id: FromPath[str],
        data: JSONBody[QuestionIn],
    ) -> None:
        appliance.golden.change_question(principal, set_id, question_id, data.expected())

    @delete("/api/golden/{set_id:str}/questions/{question_id:str}", opt=_UPDATES, sync_to_thread=True)
    def delete_question(self, appliance: Box, principal: Caller, set_id: FromPath[str], question_id: FromPath[str]) -> None:
        appliance.golden.delete_question(principal, set_id, question_id)

    @post(
        "/api/golden/{set_id:str}/import",
        opt=_UPDATES,
        request_max_body_size=IMPORT_LIMIT_BYTES,
    )
    async def take_in(
        self, request: Request[Any, Any, Any], appliance: Box, principal: Caller, set_id: FromPath[str], form: FromQuery[str]
    ) -> Added:
        content = await request.body()
        return await asyncio.to_thread(_take_in, appliance, principal, set_id, content, form)

    @get("/api/golden/{set_id:str}/export", opt=_READS, sync_to_thread=True)
    def export(self, appliance: Box, principal: Caller, set_id: FromPath[str]) -> Stream:
        from appliance.evaluation.golden.files import written

        found, questions = appliance.golden.questions(principal, set_id)
        content = written([question.expected for question in questions]).encode()
        return attachment(f"{found.name}.csv", [content], media_type="text/csv; charset=utf-8", size_bytes=len(content))

    @post("/api/golden/{set_id:str}/runs", opt=_STARTS, sync_to_thread=True)
    def start(self, appliance: Box, principal: Caller, queue: Jobs, set_id: FromPath[str], data: JSONBody[RunOrder]) -> RunOut:
        run = appliance.golden.start(principal, set_id, data.version_id)
        queue.enqueue_golden(run.id)
        return RunOut.of(run)

    @get("/api/golden/runs/{run_id:str}", opt=_READS, sync_to_thread=True)
    def result(self, appliance: Box, principal: Caller, run_id: FromPath[str]) -> ResultOut:
        return ResultOut.of(appliance.golden.result(principal, run_id))

    @post(
        "/api/golden/runs/{run_id:str}/stop",
        opt=declares(Action.GOLDEN_RUN, EventName.GOLDEN_STOPPED),
        status_code=204,
        sync_to_thread=True,
    )
    def stop(self, appliance: Box, principal: Caller, run_id: FromPath[str]) -> None:
        appliance.golden.stop(principal, run_id)

    @post(
        "/api/golden/runs/{run_id:str}/accept",
        opt=declares(Action.GOLDEN_UPDATE, EventName.GOLDEN_ACCEPTED),
        status_code=204,
        sync_to_thread=True,
    )
    def accept(self, appliance: Box, principal: Caller, run_id: FromPath[str]) -> None:
        appliance.golden.accept(principal, run_id)

    @post("/api/models/{version_id:str}/examine", opt=_STARTS, status_code=200, sync_to_thread=True)
    def examine(
        self, appliance: Box, principal: Caller, queue: Jobs, version_id: FromPath[str], *, activates: FromQuery[bool] = True
    ) -> list[RunOut]:
        begun = appliance.golden.examine(principal, version_id, activates=activates)
        for run in begun[:1]:  # one after the other: whoever works on the first goes on with the next
            queue.enqueue_golden(run.id)
        return [RunOut.of(run) for run in begun]

    @get("/api/models/{version_id:str}/comparison", opt=_READS, sync_to_thread=True)
    def comparison(self, appliance: Box, principal: Caller, version_id: FromPath[str]) -> list[IndexComparisonOut]:
        return [IndexComparisonOut.of(about, found) for about, found in appliance.index_review.compared(principal, version_id)]

    @post(
        "/api/models/{version_id:str}/override",
        opt=declares(Action.GOLDEN_OVERRIDE, EventName.GOLDEN_OVERRIDDEN),
        status_code=200,
        sync_to_thread=True,
    )
    def override(self, appliance: Box, principal: Caller, version_id: FromPath[str], data: JSONBody[Override]) -> ModelVersionOut:
        if not data.reason.strip():
            raise InvalidInput("Say why, for whoever reads the log.", code="golden.reason")
        return ModelVersionOut.of(appliance.model_administration.activate(principal, version_id, despite=data.reason.strip()))


def _take_in(appliance: Appliance, principal: Principal, set_id: str, content: bytes, form: str) -> Added:
    from appliance.evaluation.golden.files import read

    documents = appliance.golden.documents(principal, set_id)
    return Added(len(appliance.golden.add(principal, set_id, read(content, form, documents))))
