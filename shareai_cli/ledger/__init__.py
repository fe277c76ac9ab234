"""What happened: the journal, the database behind it, and what is asked of it."""
