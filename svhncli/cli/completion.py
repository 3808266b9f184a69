"""Completion for bash, zsh and fish: verbs, flags, groups, choices, keys and values.

`svhn completion SHELL` prints a small script; at every Tab the script asks `svhn --complete WORDS...`, which
answers from the config dataclasses and conf/ without importing Hydra.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from svhncli.cli import catalog
from svhncli.config.choices import CHOICES
from svhncli.config.verbs import VERBS
from svhncli.core.errors import UsageError

BASH = r"""# svhn completion for bash: eval "$(svhn completion bash)"
_svhn_complete() {
    local words current strip IFS=$' \t\n'
    read -ra words <<< "${COMP_LINE:0:COMP_POINT}"
    [[ ${COMP_LINE:COMP_POINT-1:1} == [[:space:]] ]] && words+=("")
    current=${words[${#words[@]}-1]}
    IFS=$'\n'
    COMPREPLY=($("${words[0]}" --complete "${words[@]:1}" 2>/dev/null | cut -f1))
    # Bash replaces only what follows the last = or :
    strip=${current%"${current##*[=:]}"}
    [[ $COMP_WORDBREAKS == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"$strip"}")
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}
complete -o default -F _svhn_complete svhn"""

ZSH = r"""# svhn completion for zsh: eval "$(svhn completion zsh)"
_svhn() {
    local line
    local -a closed open
    for line in "${(@f)$("${(Q)words[1]}" --complete "${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}"; do
        line=${line%%$'\t'*}
        [[ $line == *= ]] && open+=("$line") || closed+=("$line")
    done
    closed=(${closed:#})
    if (( $#closed + $#open )); then
        compadd -S '' -a open
        compadd -a closed
    else
        compset -P '*='
        _files
    fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _svhn svhn"""

FISH = r"""# svhn completion for fish: svhn completion fish | source
function __svhn_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l found ($words[1] --complete $words[2..-1] "$current" 2>/dev/null)
    if test -n "$found"
        printf '%s\n' $found
    else
        set -l key (string match -r '^.*=' -- "$current")
        __fish_complete_path (string replace -r '^.*=' '' -- "$current") | string replace -r '^' "$key"
    end
end
complete -c svhn -f -a '(__svhn_complete)'"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def script(shell: str) -> str:
    """The script that a shell evaluates.

    Raises:
        UsageError: there is no script for this shell.
    """
    if shell not in SCRIPTS:
        what = f"there is no completion for '{shell}'" if shell else "no shell is named"
        raise UsageError(what, f"svhn completion {'|'.join(SCRIPTS)}")
    return SCRIPTS[shell]


def candidates(
    words: list[str],
    flags: Mapping[str, str],
    short: Mapping[str, str],
    values: Mapping[str, tuple[str, ...]],
) -> list[str]:
    """Completions of the last word after `svhn`, each with its meaning after a tab."""
    *before, current = words or [""]
    plain = [word for word in before if not word.startswith("-")]
    previous = short.get(before[-1], before[-1]) if before else ""
    verb = plain[0] if plain else ""
    offered: dict[str, str] = {}
    if current.startswith("-"):
        offered = dict(flags)
    elif previous in values:
        offered = dict.fromkeys(values[previous], "")
    elif not verb:
        offered = dict.fromkeys([*VERBS, "help", "completion"], "")
    elif verb == "completion":
        offered = dict.fromkeys(SCRIPTS, "")
    elif verb == "help":
        offered = dict.fromkeys(VERBS, "")
    elif verb in VERBS:
        offered = _values(verb, current) if "=" in current else _keys(verb, current, plain[1:])
        named = any("=" not in word for word in plain[1:])
        wants_run = (catalog.takes_run(verb) and not named) or catalog.many_key(verb) == "runs"
        if "=" not in current and (wants_run or previous == "--resume"):
            offered = _runs() | offered
    return [f"{name}\t{text}".rstrip("\t") for name, text in offered.items() if name.startswith(current)]


def _keys(verb: str, current: str, words: Iterable[str]) -> dict[str, str]:
    """Groups and keys of the active choices, each with a `=`; nested keys once something is typed."""
    groups = catalog.defaults(verb)
    chosen = groups | dict(word.split("=", 1) for word in words if "=" in word)
    offered = {f"{group}=": "" for group in groups}
    for path, key in catalog.keys(verb).items():
        group = path.partition(".")[0]
        active = chosen.get(group)
        is_active = not key.owners or active in key.owners or active not in CHOICES.get(group, {})
        if is_active and (current or not key.owners):
            offered[f"{path}="] = key.rule["meaning"]
    return offered


def _values(verb: str, current: str) -> dict[str, str]:
    """`model=cnn`, or for a sweep `model=cnn,mlp`, of groups and of keys that list their values."""
    path, _, value = current.partition("=")
    key = catalog.keys(verb).get(path)
    if path in catalog.defaults(verb):
        names = catalog.choices(path)
    elif path in ("run", "resume", "init_from", "baseline"):
        names = _runs()
    elif key is not None:
        names = dict.fromkeys(key.rule["choices"] or (("true", "false") if key.hint is bool else ()), "")
    else:
        names = {}
    done = value.rpartition(",")[0]
    start = f"{path}={done}," if done else f"{path}="
    return {f"{start}{name}": text for name, text in names.items()}


def _runs() -> dict[str, str]:
    """Runs and sweeps under outputs/, newest first."""
    folders = (path for path in Path("outputs").glob("*/*") if path.is_dir())
    newest_first = sorted(folders, key=lambda path: path.name, reverse=True)
    return {"latest": "the newest run"} | dict.fromkeys(map(str, newest_first), "")
