"""Completion in bash, zsh and fish: click's, corrected where it loses what was typed.

- ``--gpu=h1``: bash passes three words, of which click takes the second for the value. zsh and fish replace
  the whole word, so ``--gpu=h100`` is offered: click offers ``h100``, for which zsh deletes the option and
  fish finds no match. click's scripts for them find no path there either.
- zsh: from a directory of functions, click's script completes the first time, and the second time nothing.
- fish: click's script finds no path behind a tilde, and cuts a value and its description at the first comma.
"""

from __future__ import annotations

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

# Parts of click's scripts, and what stands there instead.
_ZSH = (
    *(
        (
            f"            {call}",
            f"            [[ $PREFIX == --*=* ]] && compset -P 1 '*='\n            {call}",
        )
        for call in ("_path_files -/", "_path_files -f")
    ),
    ("[[ $zsh_eval_context[-1] == loadautofunc ]]", "[[ $funcstack[1] == _%(prog_name)s ]]"),
)
# fish completes paths for any command that it does not know, such as the one without a name.
_FISH = (
    ('(string split "," $completion)', '(string split --max 1 "," $completion)'),
    (
        "    for completion in $response;",
        "    set -l option (string match --regex '^--[^=]+=' -- (commandline -ct));\n"
        "    set -l paths \"'' \"(string replace -- \"$option\" '' (commandline -ct));\n\n"
        "    for completion in $response;",
    ),
    (
        "            __fish_complete_directories $metadata[2];",
        "            for path in (complete -C $paths | string match --regex '.*/$');\n"
        '                echo "$option$path";\n'
        "            end;",
    ),
    (
        "            __fish_complete_path $metadata[2];",
        "            for path in (complete -C $paths);\n"
        '                echo "$option$path";\n'
        "            end;",
    ),
)


class Bash(BashComplete):
    """Completion in bash."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the incomplete one, and that one."""
        args, incomplete = super().get_completion_args()
        if len(args) > 1 and args[-1] == "=" and args[-2].startswith("--"):
            args.pop()
        return args, incomplete


class _WholeWords(ShellComplete):
    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """The values for a word. Those of an option that is in the word begin with the option."""
        found = super().get_completions(args, incomplete)
        option, sign, _ = incomplete.partition("=")
        if sign and option.startswith("--"):
            for each in found:
                if each.type == "plain":
                    each.value = f"{option}={each.value}"
        return found


class Zsh(_WholeWords, ZshComplete):
    """Completion in zsh."""

    source_template = ZshComplete.source_template
    for _old, _new in _ZSH:
        source_template = source_template.replace(_old, _new)


class Fish(_WholeWords, FishComplete):
    """Completion in fish."""

    source_template = FishComplete.source_template
    for _old, _new in _FISH:
        source_template = source_template.replace(_old, _new)


def use_corrected_shells() -> None:
    """Makes click complete with the classes of this module."""
    for each in (Bash, Zsh, Fish):
        add_completion_class(each)
