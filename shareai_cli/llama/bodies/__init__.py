"""What clients send, checked field by field before anything else sees it."""
