"""How fast language models run in llama.cpp, and whether they fit: time to first token, tokens a second, memory."""

from hwbench.predict.language.estimate import LanguageEstimate, estimate_language
from hwbench.predict.language.phases import Scenario

__all__ = ["LanguageEstimate", "Scenario", "estimate_language"]
