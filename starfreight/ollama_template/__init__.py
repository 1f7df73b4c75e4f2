"""Render the prompt templates of Ollama."""
