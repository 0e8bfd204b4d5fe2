"""A second embedding model, made of the default one without fetching anything: the same graph, turned into another dimension."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from appliance.inference.store import ModelStore


def projected_embedder(models_dir: Path, folder: Path, *, dimensions: int = 200, output: str = "sentence_embedding") -> Path:
    """The folder of a model whose vectors are those of the default one, projected at random; not of length 1 by themselves.

    Distances are kept roughly (Johnson and Lindenstrauss 1984), so that it finds what the default model finds.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    store = ModelStore(models_dir)
    model = onnx.load(str(store.verified_path(store.active("embedding"))))
    graph = model.graph
    matrix = np.random.default_rng(7).standard_normal((384, dimensions)).astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(matrix, "projection"))
    graph.node.append(helper.make_node("MatMul", ["embedding", "projection"], [output], name=output))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", dimensions]))
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    (folder / "tokenizer.json").write_bytes(store.verified_tokenizer().read_bytes())
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "max_position_embeddings": 512}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 128}))
    return folder
