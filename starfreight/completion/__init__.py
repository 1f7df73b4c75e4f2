"""Complete code with the model of a package, of a run, or in a GGUF file."""
