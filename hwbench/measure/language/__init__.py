"""Language models run by llama.cpp: synthetic files of them, and the times of prompts and generated tokens."""

__all__ = ["blocks", "llama_cpp", "synthetic"]
