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
