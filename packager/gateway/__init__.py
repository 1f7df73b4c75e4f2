"""The pull gateway: nginx in front of a private registry, for stock Ollama.

    settings = load_settings(Path("gateway.yaml"))
    rendered = render(settings, Path("out"))

nginx holds the registry's credential, lets nothing through but pulls of some repositories, and adds the
``Location`` that Ollama needs. With ``users``, a small token service decides who may pull; data never passes
through it. See ``docs/gateway.md``.
"""
