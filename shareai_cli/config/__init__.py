"""What a person declares: TOML, environment and flags become one frozen `Settings`."""
