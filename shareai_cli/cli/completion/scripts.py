"""The scripts by which shells complete: each asks this program what could come next.

The words before the one to be completed are the arguments, that one itself stands in `_SHAREAI_COMPLETE`
behind a `+`, as PowerShell drops empty values. The answer is a line for each candidate, with a tab and its
meaning behind it where it has one; where there is no answer, names of files are completed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

Shell = Literal["bash", "zsh", "fish", "powershell"]

_BASH: Final = r"""
# Completion of shareai in bash: eval "$(shareai completion bash)"
_shareai() {
    local rest=${COMP_LINE:0:COMP_POINT} words=() word space current breaks prefix line index
    # Bash parts words at : and =, which stand in names of models; what no space parts belongs together.
    for ((index = 0; index <= COMP_CWORD; index++)); do
        space=${rest%%[![:space:]]*}
        rest=${rest#"$space"}
        word=${COMP_WORDS[index]}
        ((index == COMP_CWORD)) && word=$rest
        if [[ -n $space || $index -eq 0 ]]; then
            words+=("$word")
        else
            words[${#words[@]} - 1]+=$word
        fi
        rest=${rest#"$word"}
    done
    words=("${words[@]//[\"\'\\]/}")
    index=$((${#words[@]} - 1))
    current=${words[index]}
    breaks=${COMP_WORDBREAKS//[^:=]/}
    [[ -n $breaks ]] && prefix=${current%"${current##*[$breaks]}"}
    COMPREPLY=()
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        COMPREPLY+=("${line#"$prefix"}")
    done < <(_SHAREAI_COMPLETE="+$current" "${1/#\~/$HOME}" "${words[@]:1:index - 1}" 2>/dev/null </dev/null)
}
complete -o nosort -o bashdefault -o default -F _shareai shareai 2>/dev/null ||
    complete -o bashdefault -o default -F _shareai shareai
"""

_ZSH: Final = r"""
#compdef shareai
# Completion of shareai in zsh: eval "$(shareai completion zsh)", or as the file _shareai in a folder of fpath
_shareai() {
    local -a lines values shown
    local line
    integer width=0
    lines=("${(@f)$(_SHAREAI_COMPLETE="+${(Q)PREFIX}" ${(Q)~words[1]} "${(@Q)words[2,CURRENT-1]}" \
        2>/dev/null </dev/null)}")
    for line in $lines; do
        values+=("${line%%$'\t'*}")
        (($#values[-1] > width)) && width=$#values[-1]
    done
    if ((!$#values)); then
        _files
    elif [[ $lines[1] == *$'\t'* ]]; then
        for line in $lines; do
            shown+=("${(r:width:)${line%%$'\t'*}}  ${line#*$'\t'}")
        done
        compadd -l -V shareai -d shown -a values
    else
        compadd -V shareai -a values
    fi
}
if [[ ${funcstack[1]} == _shareai ]]; then
    _shareai "$@"
else
    (($+functions[compdef])) || { autoload -Uz compinit && compinit; }
    compdef _shareai shareai
fi
"""

_FISH: Final = r"""
# Completion of shareai in fish: shareai completion fish | source
function __shareai_complete
    set -l words (commandline -opc)
    set -lx _SHAREAI_COMPLETE (string join '' -- + (commandline -ct))
    set -l answers (command $words 2>/dev/null </dev/null)
    if set -q answers[1]
        printf '%s\n' $answers
    else
        __fish_complete_path (commandline -ct)
    end
end
complete --command shareai --no-files --keep-order --arguments '(__shareai_complete)'
"""

_POWERSHELL: Final = r"""
# Completion of shareai in PowerShell: shareai completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName shareai -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { "$_" })
    $before = @($words | Select-Object -Skip 1)
    $former = $Env:_SHAREAI_COMPLETE
    $Env:_SHAREAI_COMPLETE = "+$wordToComplete"
    try {
        & $words[0] @before 2>$null | ForEach-Object {
            $value, $meaning = $_ -split "`t", 2
            if (-not $meaning) { $meaning = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $meaning)
        }
    } finally {
        $Env:_SHAREAI_COMPLETE = $former
    }
}
"""

SCRIPTS: Final[Mapping[Shell, str]] = MappingProxyType(
    {
        "bash": _BASH.lstrip(),
        "zsh": _ZSH.lstrip(),
        "fish": _FISH.lstrip(),
        "powershell": _POWERSHELL.lstrip(),
    }
)
"""Each shell's script, as `completions/` holds it."""
