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
    source = "{{ tools | tojson }}|{{ messages[0].tool_calls[0].function.arguments.city }}{# <tool_call> #}"
    call = ToolCall(FunctionCall("weather", '{"city": "Rome"}'))
    said = Message(role="assistant", tool_calls=[call])
    tool = Tool("function", FunctionDefinition("weather"))
    assert template(source).render([said], [tool]) == (
        '[{"type": "function", "function": {"name": "weather"}}]|Rome'
    )


CALL = ToolCall(FunctionCall("weather", '{"city": "Rome"}'), id="call_0123")
CALLED = [
    HELLO,
    Message(role="assistant", content="Well.", tool_calls=[CALL]),
    Message(role="tool", tool_call_id="call_0123", content="sunny"),
]


def test_templates_that_know_of_no_tools_are_told_in_words() -> None:
    """The tools in the first message, earlier calls in the form that is asked for, results as a user's."""
    tool = Tool("function", FunctionDefinition("weather", "tells {it}", {"type": "object"}, strict=True))
    told = template("{% for one in messages %}[{{ one.role }}: {{ one.content }}]{% endfor %}")
    prompt = told.render(CALLED, [tool])
    assert prompt.startswith("[system: ")
    assert '{"name":"weather","description":"tells {it}","parameters":{"type":"object"}}' in prompt
    assert '{"name": "the function\'s name", "arguments": {"an argument": "its value"}}' in prompt
    assert (
        '[assistant: Well.\n<tool_call>\n{"name":"weather","arguments":{"city":"Rome"}}\n</tool_call>]'
        in prompt
    )
    assert prompt.endswith("[user: <tool_response>\nsunny\n</tool_response>]")
    system = Message(role="system", content="Be brief.")
    assert told.render([system, HELLO], [tool]).startswith("[system: Be brief.\n\nYou may call")
    assert told.render([system, HELLO], []) == "[system: Be brief.][user: hello]"


def test_templates_whose_calls_nobody_here_reads_are_told_in_words_too() -> None:
    """Else a model would call in a form of its own, and its client get that as text."""
    tool = Tool("function", FunctionDefinition("weather"))
    shown = "{{ one.content }}{% if one.tool_calls %}<odd>{% endif %}"
    odd = f"{{{{ tools }}}}{{% for one in messages %}}{shown}{{% endfor %}}"
    prompt = template(odd).render(CALLED, [tool])
    assert prompt.startswith("NoneYou may call")
    assert "<odd>" not in prompt
    assert "<tool_call>" in prompt
    known = f"{odd}{{# <tool_call> #}}"
    assert "<odd>" in template(known).render(CALLED, [tool])


def test_a_system_message_goes_into_the_first_question_where_a_template_knows_none() -> None:
    """Older Gemmas and Mistrals refuse it; results that follow each other are one message to them."""
    source = """\
{% for one in messages %}{% if (one.role == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('roles must alternate') }}{% endif %}[{{ one.role }}: {{ one.content }}]{% endfor %}"""
    system = Message(role="system", content="Be brief.")
    assert template(source).render([system, HELLO], []) == "[user: Be brief.\n\nhello]"
    prompt = template(source).render([*CALLED, Message(role="tool", content="warm")], [])
    assert prompt.endswith(
        "[user: <tool_response>\nsunny\n</tool_response>\n<tool_response>\nwarm\n</tool_response>]"
    )


def test_a_developers_message_is_a_systems_to_templates_that_know_none() -> None:
    """Newer clients send that role, which many templates would leave out in silence."""
    developer = Message(role="developer", content="Be brief.")
    source = "{% for one in messages if one.role in ('system', 'user') %}[{{ one.role }}]{% endfor %}"
    assert template(source).render([developer, HELLO], []) == "[system][user]"
    known = "{{ messages[0].role }}"
    assert template(f"{known}{{# developer #}}").render([developer], []) == "developer"


def test_templates_that_want_arguments_as_text_get_them_so() -> None:
    """DeepSeek's put them together with other texts, which an object does not bear."""
    source = "{{ tools }}{{ 'calls: ' + messages[1].tool_calls[0].function.arguments }}{# <tool_call> #}"
    assert template(source).render(CALLED, []) == 'Nonecalls: {"city": "Rome"}'


def test_ids_of_calls_are_shortened_where_a_template_wants_that() -> None:
    """Mistral's take nine letters and digits; a call and its result keep belonging together."""
    source = "[TOOL_CALLS]{{ tools }}|{{ messages[1].tool_calls[0].id }}|{{ messages[2].tool_call_id }}"
    _, made, answered = template(source).render(CALLED, []).split("|")
    assert made == answered
    assert len(made) == 9
    assert made.isalnum()
    assert "call_0123" in template(source.replace("[TOOL_CALLS]", "<tool_call>")).render(CALLED, [])


def test_templates_hear_how_much_to_think_and_what_was_thought() -> None:
    """`reasoning_effort` none switches thinking off, where a template can; unsaid, nothing is set."""
    source = "{{ enable_thinking is defined }} {{ enable_thinking }} {{ reasoning_effort }}"
    assert template(source).render([HELLO], []) == "False  "
    assert template(source).render([HELLO], [], "none") == "True False none"
    assert template(source).render([HELLO], [], "high") == "True True high"
    thought = Message(role="assistant", content="4", reasoning_content="2 + 2")
    assert template("{{ messages[0].reasoning_content }}").render([thought], []) == "2 + 2"


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
