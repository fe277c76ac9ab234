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
