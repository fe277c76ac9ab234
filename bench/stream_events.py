"""The events that the streaming upstream sends: each carries its number and its time."""

from __future__ import annotations

import re

_FRAME = (
    b'data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk",'
    b'"created":1741570283,"model":"gpt-4o-mini-2024-07-18","service_tier":"default",'
    b'"system_fingerprint":"fp_06737a9306","choices":[{"index":0,"delta":%b,"logprobs":null,'
    b'"finish_reason":%b}]}\n\n'
)
_CONTENT = b'{"content":"%04d %016d "}'
_DELTA = _FRAME % (_CONTENT, b"null")
ROLE = _FRAME % (b'{"role":"assistant","content":"","refusal":null}', b"null")
FINISH = _FRAME % (b"{}", b'"stop"')
USAGE = (
    b'data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk",'
    b'"created":1741570283,"model":"gpt-4o-mini-2024-07-18","choices":[],"usage":{"prompt_tokens":119,'
    b'"completion_tokens":64,"total_tokens":183}}\n\n'
)
DONE = b"data: [DONE]\n\n"

NUMBERED = re.compile(rb'"content":"(\d{4}) (\d{16}) "')


def delta(number: int, nanoseconds: int) -> bytes:
    """Return the event of one delta, written at a time of the monotonic clock."""
    return _DELTA % (number, nanoseconds // 1000)


def chunk(data: bytes) -> bytes:
    """Return data as one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


DELTA_CHUNK = chunk(_DELTA % (0, 0)).replace(_CONTENT % (0, 0), _CONTENT)
"""A delta's chunk with the number and the microseconds left open: one formatting makes what is sent."""
