"""One file per step, in the order in which a request meets them."""
