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
