from __future__ import annotations

import pytest

from shareai_cli.errors import MalformedRequest, ModelUnavailable
from shareai_cli.llama.bodies.chat import FunctionCall, FunctionDefinition, Message, Part, Tool, ToolCall
from shareai_cli.llama.template import ChatTemplate

HELLO = Message(role="user", content="hello")


def template(source: str | None) -> ChatTemplate:
    return ChatTemplate(source, begin="<s>", end="</s>")


def test_a_file_without_a_template_gets_chatml() -> None:
    """The prompt ends where the assistant has to begin."""
    parts = Message(role="user", content=[Part("text", "a"), Part("text", "b")])
    assert template(None).render([parts], []) == ("<|im_start|>user\na\nb<|im_end|>\n<|im_start|>assistant\n")


def test_templates_see_tools_and_calls_as_objects() -> None:
    """A call's arguments reach the template as an object, as templates of models expect them."""
    source = "{{ tools | tojson }}|{{ messages[0].tool_calls[0].function.arguments.city }}"
    call = ToolCall(FunctionCall("weather", '{"city": "Rome"}'))
    said = Message(role="assistant", tool_calls=[call])
    tool = Tool("function", FunctionDefinition("weather"))
    assert template(source).render([said], [tool]) == (
        '[{"type": "function", "function": {"name": "weather"}}]|Rome'
    )


@pytest.mark.parametrize(
    "source",
    ["{{ raise_exception('roles must alternate') }}", "{{ messages[9].content.x }}", "{{ 1 // 0 }}"],
)
def test_a_template_that_refuses_is_the_clients_400(source: str) -> None:
    """Whatever a template raises is about the messages that it was given."""
    with pytest.raises(MalformedRequest) as caught:
        template(source).render([HELLO], [])
    assert caught.value.param == "messages"


def test_a_template_cannot_reach_the_interpreter() -> None:
    """A template comes with a file of somebody else's: it runs in a sandbox."""
    with pytest.raises(MalformedRequest):
        template("{{ ().__class__.__base__.__subclasses__() }}").render([HELLO], [])


def test_a_broken_template_is_said_when_the_model_is_loaded() -> None:
    """A template that does not compile makes the model unavailable, in words."""
    with pytest.raises(ModelUnavailable, match="template"):
        template("{% for %}")
