"""Configurations of editors for ``starfreight serve-model``, as docs/use-it.md has them."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_ADDRESS = "http://127.0.0.1:8012"
EXAMPLE_MODEL = "acme-coder"


@dataclass(frozen=True)
class Editor:
    """An editor with a plugin.

    Attributes:
        key: its name in ``--json``.
        name: of the editor and its plugin.
        file: where the configuration belongs.
        text: the configuration, for the default address and the example's model.
    """

    key: str
    name: str
    file: str
    text: str

    def configuration(self, address: str, model: str) -> str:
        """The configuration for an address such as ``http://127.0.0.1:8012`` and a model's name."""
        return self.text.replace(DEFAULT_ADDRESS, address).replace(EXAMPLE_MODEL, model)


LLAMA_VSCODE = Editor(
    "llama-vscode",
    "VS Code with llama-vscode",
    "settings.json",
    """\
{
  "llama-vscode.endpoint": "http://127.0.0.1:8012",
  "llama-vscode.endpoint_chat": "http://127.0.0.1:8012"
}
""",
)

CONTINUE = Editor(
    "continue",
    "VS Code or JetBrains with Continue",
    "~/.continue/config.yaml",
    """\
name: Starfreight
version: 1.0.0
schema: v1
models:
  - name: acme-coder
    provider: llama.cpp
    model: acme-coder
    apiBase: http://127.0.0.1:8012/
    roles: [autocomplete]
    promptTemplates:
      autocomplete: "<fim_prefix>{{{prefix}}}<fim_suffix>{{{suffix}}}<fim_middle>"
""",
)

LLAMA_VIM = Editor(
    "llama-vim",
    "Vim or Neovim with llama.vim",
    "vimrc, before the plugin is loaded",
    """\
let g:llama_config = {
  \\ 'endpoint_fim': 'http://127.0.0.1:8012/infill',
  \\ 'endpoint_inst': 'http://127.0.0.1:8012/v1/chat/completions',
  \\ }
""",
)

MINUET = Editor(
    "minuet",
    "Neovim with minuet-ai.nvim",
    "init.lua",
    """\
require('minuet').setup {
  provider = 'openai_fim_compatible',
  n_completions = 1,
  context_window = 4096,
  provider_options = {
    openai_fim_compatible = {
      api_key = 'TERM',
      name = 'Starfreight',
      end_point = 'http://127.0.0.1:8012/v1/completions',
      model = 'acme-coder',
      optional = { max_tokens = 56, temperature = 0 },
      template = {
        prompt = function(before, after, _)
          return '<fim_prefix>' .. before .. '<fim_suffix>' .. after .. '<fim_middle>'
        end,
        suffix = false,
      },
    },
  },
}
""",
)

EDITORS = (LLAMA_VSCODE, CONTINUE, LLAMA_VIM, MINUET)
"""All of them."""
