"""`cloister ask`: one question, answered in this process, whether the appliance is running or not."""

from __future__ import annotations

import argparse
from contextlib import closing

from appliance.bootstrap import open_appliance
from appliance.chat.models import MessageStatus
from appliance.cli.acting import acting_principal
from appliance.cli.output import Output
from appliance.errors import NotFound
from appliance.inference.preparation import prepare_models
from appliance.settings import load_settings
from appliance.supervisor.own_gate import own_gate


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("--as", dest="person", metavar="USER", help="whose question this is")
    parser.add_argument("--collection", metavar="NAME", help="search this collection alone")
    parser.add_argument("--model", metavar="NAME", default="", help="choose the model, where the routing policy lets this person")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Print the answer; exit code 1 when it failed, 0 also when the documents do not contain it."""
    settings = load_settings(arguments.data)
    appliance = open_appliance(settings)
    with own_gate(settings) as appliance.gate_place, closing(appliance):
        prepare_models(settings.models_dir, output.progress)
        principal = acting_principal(appliance, arguments.person)
        collection_id = None
        if arguments.collection is not None:
            readable = {summary.name: summary.id for summary in appliance.collections.readable(principal)}
            if arguments.collection not in readable:
                raise NotFound(f"There is no collection {arguments.collection}.", code="collection.unknown")
            collection_id = readable[arguments.collection]
        message = appliance.chat.answer_now(
            principal, arguments.question, collection_id=collection_id, chosen_model=arguments.model
        )
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
        "tokens": {"prompt": message.prompt_tokens, "completion": message.completion_tokens},
    }
    if message.reason_code:
        document["error"] = {"code": message.reason_code, "message": message.reason}
    sources = [f"[{c['number']}] {c['document']}, page {c['page']}: {c['text']}" for c in citations]
    if nearest:
        sources = ["Nearest passages, which do not answer the question:"]
        sources += [f"- {near['document']}, page {near['page']}: {' '.join(str(near['text']).split())}" for near in nearest]
    output.result(document, message.text or str(message.reason), *sources)
    return 1 if message.status is MessageStatus.FAILED else 0
