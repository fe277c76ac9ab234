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
