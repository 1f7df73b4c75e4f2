"""Install a published model or a package: into a running Ollama, into Ollama's store, or as plain files.

    installed = install(InstallRequest("ghcr.io/acme/coder:1.0", target=OllamaApi(url)), console)

``interface.py`` is the plug point of targets; each target has its own file.
"""

from starfreight.packager.install.install import InstallRequest, install
from starfreight.packager.install.interface import Installed, Target

__all__ = ["InstallRequest", "Installed", "Target", "install"]
