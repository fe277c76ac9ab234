"""What is known beforehand: provider presets and prices."""
