"""The screens: each draws a part of what the gateway tells."""
