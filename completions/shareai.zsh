#compdef shareai

_shareai_completion() {
  eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _SHAREAI_COMPLETE=complete_zsh shareai)
}

compdef _shareai_completion shareai
