"""What is there on this machine already: keys, engines, model files. Only looks, changes nothing."""
