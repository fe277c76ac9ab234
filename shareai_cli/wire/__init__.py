"""HTTP/1.1 both ways over httptools: server, client pool, server-sent events."""
