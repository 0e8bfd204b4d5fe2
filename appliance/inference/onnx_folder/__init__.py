"""Turning a GGUF file into a folder for ONNX Runtime GenAI, without a training framework."""
