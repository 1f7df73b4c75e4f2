"""Upload of a package to a hub repository, which Ollama (``hf.co/...``), llama.cpp and LM Studio read."""
