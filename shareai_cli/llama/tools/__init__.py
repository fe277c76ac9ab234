"""Tool calls and reasoning: how families of models write them, read as they come and asked for by a grammar.

`source` and `pieces` are what every family reads with, `catalogue` picks the family by a model's template.
"""
