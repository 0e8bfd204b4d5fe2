"""Converts a GGUF file of the Llama family into a folder for ONNX Runtime GenAI and Foundry Local.

    python -m appliance.inference.onnx_folder.convert --out DIRECTORY [--gguf FILE]

Without `--gguf` the default language model is converted.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError, InvalidInput
from appliance.inference.onnx_folder.gguf import GgufFile
from appliance.inference.onnx_folder.graph import Shape, shape_of, write_graph
from appliance.inference.sources import LANGUAGE_MODEL, locate, verify

_CONTROL = 3
# the settings of the byte-level splitting that a GGUF file only names
_SPLITTING = {
    "smollm": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ]
}


def write_folder(gguf: Path, folder: Path) -> None:
    """Write graph, tokenizer and settings. Raises `InvalidInput` (`model.not_convertible`)."""
    source = GgufFile(gguf)
    shape = shape_of(source)
    tokenizer, described = _tokenizer(source.settings)
    folder.mkdir(parents=True, exist_ok=True)
    write_graph(source, folder / "model.onnx")
    _write(folder / "tokenizer.json", tokenizer)
    _write(folder / "tokenizer_config.json", described)
    _write(folder / "genai_config.json", _settings(source.settings, shape))  # last: its presence says that the folder is whole


def _tokenizer(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Byte-pair encoding (Sennrich et al. 2016) as `tokenizer.json`, and the chat template."""
    splitting = _SPLITTING.get(settings.get("tokenizer.ggml.pre", ""))
    if settings.get("tokenizer.ggml.model") != "gpt2" or splitting is None:
        raise InvalidInput("The tokenizer of this file is of a kind that is not converted.", code="model.not_convertible")
    if "tokenizer.chat_template" not in settings:
        raise InvalidInput("This file has no chat template, which a folder needs.", code="model.not_convertible")
    tokens, kinds = settings["tokenizer.ggml.tokens"], settings["tokenizer.ggml.token_type"]
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    control = [
        {"id": number, "content": tokens[number], **flags, "special": True}
        for number, kind in enumerate(kinds)
        if kind == _CONTROL
    ]
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": control,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": splitting},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": settings["tokenizer.ggml.merges"],
        },
    }
    described = {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "bos_token": tokens[settings["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[settings["tokenizer.ggml.eos_token_id"]],
        "unk_token": tokens[settings["tokenizer.ggml.unknown_token_id"]],
        "pad_token": tokens[settings["tokenizer.ggml.padding_token_id"]],
        "model_max_length": settings["llama.context_length"],
        "chat_template": settings["tokenizer.chat_template"],
    }
    return tokenizer, described


def _settings(settings: dict[str, Any], shape: Shape) -> dict[str, Any]:
    return {
        "model": {
            "type": "llama",
            "bos_token_id": settings["tokenizer.ggml.bos_token_id"],
            "eos_token_id": settings["tokenizer.ggml.eos_token_id"],
            "pad_token_id": settings["tokenizer.ggml.padding_token_id"],
            "context_length": shape.context_tokens,
            "vocab_size": shape.vocabulary,
            "decoder": {
                "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
                "filename": "model.onnx",
                "head_size": shape.head_width,
                "hidden_size": shape.width,
                "num_attention_heads": shape.heads,
                "num_hidden_layers": shape.layers,
                "num_key_value_heads": shape.key_heads,
                "inputs": {
                    "input_ids": "input_ids",
                    "attention_mask": "attention_mask",
                    "past_key_names": "past_key_values.%d.key",
                    "past_value_names": "past_key_values.%d.value",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": "present.%d.key",
                    "present_value_names": "present.%d.value",
                },
            },
        },
        "search": {
            "do_sample": False,
            "max_length": shape.context_tokens,
            "min_length": 0,
            "num_beams": 1,
            "num_return_sequences": 1,
            "past_present_share_buffer": True,
            "repetition_penalty": 1.0,
            "temperature": 1.0,
            "top_k": 50,
            "top_p": 1.0,
        },
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit code 1 and one sentence where the file cannot be converted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gguf", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        source = chosen.gguf or locate(LANGUAGE_MODEL)
        if chosen.gguf is None:
            verify(source, LANGUAGE_MODEL.sha256)
        write_folder(source, chosen.out)
    except ApplianceError as error:
        sys.stderr.write(f"cloister: {error.sentence}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
