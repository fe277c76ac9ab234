"""What `shareai doctor` looks at: each check returns findings, and changes nothing."""
