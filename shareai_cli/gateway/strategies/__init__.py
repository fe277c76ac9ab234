"""How a route that goes by more than its list orders its targets: what a request needs, what targets are."""
