"""The divergence of a model from its reference, token by token.

Two conventions, never to be mixed: llama.cpp's (``llama-perplexity --kl-divergence``), and the exact one.
"""
