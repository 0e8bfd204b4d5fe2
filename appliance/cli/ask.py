"""`cloister ask`: one question, answered by the running box, whose models are loaded, else in this process."""

from __future__ import annotations

import argparse
import secrets
import time
from contextlib import closing
from dataclasses import asdict
from functools import partial

from appliance.bootstrap import Appliance, open_appliance
from appliance.chat.models import Message, MessageStatus
from appliance.chat.sink import SilentSink
from appliance.cli.acting import acting_principal
from appliance.cli.output import Output
from appliance.errors import NotFound
from appliance.identity.models import Principal
from appliance.inference.preparation import prepare_models
from appliance.settings import load_settings
from appliance.storage.upgrading import Upgrading
from appliance.supervisor.names import QueueName
from appliance.supervisor.own_gate import own_gate
from appliance.supervisor.plans import worker_beats

_LOOK_S = 0.1


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("--as", dest="person", metavar="USER", help="whose question this is")
    parser.add_argument("--collection", metavar="NAME", help="search this collection alone")
    parser.add_argument("--model", metavar="NAME", default="", help="choose the model, where the routing policy lets this person")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Print the answer; exit code 1 when it failed, 0 also when the documents do not contain it."""
    settings = load_settings(arguments.data)
    appliance = open_appliance(settings, upgrading=Upgrading(output.progress))
    with own_gate(settings) as appliance.gate_place, closing(appliance):
        served = worker_beats(settings, QueueName.ANSWERS)
        if not served:
            prepare_models(settings.models_dir, output.progress)
        principal = acting_principal(appliance, arguments.person)
        collection_id = None
        if arguments.collection is not None:
            readable = {summary.name: summary.id for summary in appliance.collections.readable(principal)}
            if arguments.collection not in readable:
                raise NotFound(f"There is no collection {arguments.collection}.", code="collection.unknown")
            collection_id = readable[arguments.collection]
        answer = partial(answered_by_box, appliance) if served else appliance.chat.answer_now
        message = answer(principal, arguments.question, collection_id=collection_id, chosen_model=arguments.model)
    citations = [
        {
            "number": citation.number,
            "document": citation.document_name,
            "page": citation.page,
            "text": citation.text,
            "start": citation.start,
            "end": citation.end,
        }
        for citation in message.citations
    ]
    nearest = [
        {"document": near.document_name, "page": near.page, "text": near.text, "start": near.start, "end": near.end}
        for near in message.nearest
    ]
    document: dict[str, object] = {
        "answer": message.text,
        "citations": citations,
        "nearest": nearest,
        "model": message.model,
        "timing": message.timing,
        "status": message.status.value,
        "passages": {"found": message.passages_found, "used": message.passages_used},
        "tokens": {"prompt": message.prompt_tokens, "cached": message.cached_tokens, "completion": message.completion_tokens},
        "selection": None if message.selection is None else asdict(message.selection),
    }
    if message.reason_code:
        document["error"] = {"code": message.reason_code, "message": message.reason}
    sources = [f"[{c['number']}] {c['document']}, page {c['page']}: {_on_one_line(c['text'])}" for c in citations]
    if nearest:
        sources = ["Nearest passages, not close enough to answer from:"]
        sources += [f"- {near['document']}, page {near['page']}: {_on_one_line(near['text'])}" for near in nearest]
    output.result(document, message.text or str(message.reason), *sources)
    return 1 if message.status is MessageStatus.FAILED else 0


def _on_one_line(text: object) -> str:
    """The lines of a page end where they do for want of room."""
    return " ".join(str(text).split())


def answered_by_box(
    appliance: Appliance, principal: Principal, question: str, collection_id: str | None, chosen_model: str
) -> Message:
    """By the workers, whose sweep finds the question within seconds; in this process where the box has ended meanwhile."""
    conversation = appliance.chat.create_conversation(principal, collection_id, chosen_model)
    _, pending = appliance.chat.ask(principal, conversation.id, question)
    here = f"here-{secrets.token_hex(8)}"
    try:
        while not appliance.chat.settled(pending.id):
            time.sleep(_LOOK_S)
            if not worker_beats(appliance.settings, QueueName.ANSWERS):
                appliance.chat.answer(pending.id, SilentSink(), here)
    except KeyboardInterrupt:
        appliance.chat.stop(principal, pending.id)
        raise
    return appliance.chat.message(principal, pending.id)
