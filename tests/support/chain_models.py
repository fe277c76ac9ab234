"""Models of the tests whose replies are fixed: what they think, and what they call."""

from __future__ import annotations

from pathlib import Path

from shareai_cli.llama.demo.build import chain_of, write_chains

THOUGHT = "Hm, that is a hard one."
ANSWER = "It is late."
CALLS = (
    'Let me see.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Rome", "days": 2}}\n</tool_call>\n'
    '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
)
FORECAST = '{"city": "Oslo", "days": 3}'

_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}{{ '<|' ~ message.role ~ '|>' ~ message.content ~ '<|end|>' }}{% endfor %}
{#- MARKS #}
{%- if tools and 'call' in messages[-1].content %}{{- '<|calls|>' }}{% else %}{{- '<|thinks|>' }}{% endif %}
"""


def write_hermes(path: Path) -> Path:
    """Write a model that thinks, or calls two functions, in Hermes' form; its marks are control tokens."""
    used: set[str] = set()
    chains = {
        "thinks": [
            "<think>",
            *chain_of(f"\n{THOUGHT}\n", used),
            "</think>",
            *chain_of(f"\n\n{ANSWER}", used),
        ],
        "calls": chain_of(CALLS, used),
    }
    template = _TEMPLATE.replace("MARKS", "<think> </think> <tool_call>")
    write_chains(path, chains, template, controls=("<think>", "</think>"))
    return path


def write_mistral(path: Path) -> Path:
    """Write a model that thinks, or calls a function, in Mistral's form; its marks are control tokens."""
    used: set[str] = set()
    chains = {
        "thinks": ["[THINK]", *chain_of(THOUGHT, used), "[/THINK]", *chain_of(ANSWER, used)],
        "calls": ["[TOOL_CALLS]", "weather", "[ARGS]", *chain_of(FORECAST, used)],
    }
    marks = ("[TOOL_CALLS]", "[ARGS]", "[THINK]", "[/THINK]")
    write_chains(path, chains, _TEMPLATE.replace("MARKS", " ".join(marks)), controls=marks)
    return path
