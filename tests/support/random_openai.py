"""Random answers of OpenAI, on both of its wires: event sequences that they allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.random_answers import TOOLS, URLS, pieces, said, some, tool_input

if TYPE_CHECKING:
    from random import Random

JSON = dict[str, Any]


# --- chat completions -----------------------------------------------------------------------


def chat_answer(rng: Random) -> list[JSON]:
    """Return the chunks of an answer of OpenAI's chat completions."""
    deltas: list[JSON] = [{"role": "assistant", "content": ""}]
    deltas += [_spoken(rng) for _ in range(rng.randrange(5))]
    deltas += _calls(rng)
    events = [_chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    reasons = ("stop", "stop", "tool_calls", "tool_calls", "length", "content_filter", "odd")
    events.append(_chunk([{"index": 0, "delta": {}, "finish_reason": rng.choice(reasons)}]))
    if rng.random() < 0.9:
        events.append(_chunk([], usage=_chat_usage(rng)))
    return events


def _chunk(choices: list[JSON], **fields: Any) -> JSON:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": choices, **fields}


def _spoken(rng: Random) -> JSON:
    match rng.randrange(8):
        case 0:
            return {"refusal": said(rng)}
        case 1:
            cited = {"url": rng.choice(URLS), "title": "A", "start_index": 0, "end_index": 1}
            return {"annotations": [{"type": "url_citation", "url_citation": cited}]}
        case _:
            return {"content": said(rng)}


def _calls(rng: Random) -> list[JSON]:
    """Return calls, the fragments of which may be shuffled into each other."""
    queues: list[list[JSON]] = []
    for index in range(rng.randrange(4)):
        text = tool_input(rng)
        first, *rest = pieces(rng, text) if rng.random() < 0.8 else [text]
        function = {"name": rng.choice(TOOLS), "arguments": first}
        opening = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        more = [{"index": index, "function": {"arguments": piece}} for piece in rest]
        queues.append([opening, *more])
    deltas: list[JSON] = []
    mixed = rng.random() < 0.3
    while waiting := [queue for queue in queues if queue]:
        queue = rng.choice(waiting) if mixed and len(deltas) >= len(queues) else waiting[0]
        deltas.append({"tool_calls": [queue.pop(0)]})
    return deltas


def _chat_usage(rng: Random) -> JSON:
    usage: JSON = {
        "prompt_tokens": rng.randrange(10, 99),
        "completion_tokens": rng.randrange(9, 99),
    }
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    if rng.random() < 0.6:
        usage["prompt_tokens_details"] = {"cached_tokens": rng.randrange(9)}
    if rng.random() < 0.6:
        usage["completion_tokens_details"] = {"reasoning_tokens": rng.randrange(9)}
    return usage


# --- Responses ------------------------------------------------------------------------------


class ResponsesAnswer:
    """One answer of OpenAI's Responses API."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.index = -1
        self.told: list[JSON] = []

    def events(self) -> list[JSON]:
        """Return the events of the answer."""
        rng = self.rng
        self.tell("response.created", response=self.response("in_progress"))
        self.tell("response.in_progress", response=self.response("in_progress"))
        # What is searched is searched before it is cited.
        for make in rng.choice(((), (), (self.search,), (self.file_search,), (self.image,))):
            make()
        makers = (self.message, self.message, self.reasoning, self.call, self.call, self.interpret)
        for _ in range(rng.randrange(5)):
            rng.choice((*makers, self.mcp))()
        cut = rng.choice((None, None, None, "max_output_tokens", "content_filter", "odd"))
        status = "completed" if cut is None else "incomplete"
        details = None if cut is None else {"reason": cut}
        end = self.response(status, incomplete_details=details, usage=self.usage())
        self.tell(f"response.{status}", response=end)
        return self.told

    def tell(self, kind: str, **fields: Any) -> None:
        self.told.append({"type": kind, "sequence_number": len(self.told), **fields})

    def response(self, status: str, **fields: Any) -> JSON:
        head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": []}
        return {**head, "status": status, "error": None, "incomplete_details": None, **fields}

    def usage(self) -> JSON:
        rng = self.rng
        usage: JSON = {"input_tokens": rng.randrange(10, 99), "output_tokens": rng.randrange(9, 99)}
        usage["input_tokens_details"] = {"cached_tokens": rng.randrange(9)}
        usage["output_tokens_details"] = {"reasoning_tokens": rng.randrange(9)}
        return usage | {"total_tokens": usage["input_tokens"] + usage["output_tokens"]}

    def added(self, item: JSON) -> JSON:
        """Open an item; return what its events say about where they belong."""
        self.index += 1
        self.tell("response.output_item.added", output_index=self.index, item=item)
        return {"item_id": item["id"], "output_index": self.index}

    def done(self, item: JSON) -> None:
        self.tell("response.output_item.done", output_index=self.index, item=item)

    def message(self) -> None:
        rng = self.rng
        item: JSON = {"type": "message", "id": f"msg_{self.index + 1}", "role": "assistant"}
        item |= {"status": "in_progress", "content": []}
        if rng.random() < 0.2:
            item["phase"] = rng.choice(("commentary", "final_answer"))
        where = {**self.added(item), "content_index": 0}
        for text in some(rng, 4, said):
            kind = "refusal" if rng.random() < 0.1 else "output_text"
            self.tell(f"response.{kind}.delta", **where, delta=text)
        for number, note in enumerate(some(rng, 2, annotation) if rng.random() < 0.4 else ()):
            noted = {"annotation_index": number, "annotation": note}
            self.tell("response.output_text.annotation.added", **where, **noted)
        self.done({**item, "status": "completed"})

    def reasoning(self) -> None:
        rng = self.rng
        item: JSON = {"type": "reasoning", "id": f"rs_{self.index + 1}", "summary": []}
        where = self.added({**item, **({"encrypted_content": "En"} if rng.random() < 0.5 else {})})
        for number in range(rng.randrange(3)):
            at = {**where, "summary_index": number}
            part = {"type": "summary_text", "text": ""}
            self.tell("response.reasoning_summary_part.added", **at, part=part)
            for text in ["Hm", *some(rng, 2, said)]:
                self.tell("response.reasoning_summary_text.delta", **at, delta=text)
            self.tell("response.reasoning_summary_part.done", **at, part=part)
        self.done({**item, **({"encrypted_content": "Enc"} if rng.random() < 0.8 else {})})

    def call(self) -> None:
        rng = self.rng
        text = tool_input(rng)
        item: JSON = {"type": "function_call", "id": f"fc_{self.index + 1}", "arguments": ""}
        item |= {"call_id": f"call_{self.index + 1}", "name": rng.choice(TOOLS)}
        where = self.added({**item, "status": "in_progress"})
        for piece in pieces(rng, text):
            self.tell("response.function_call_arguments.delta", **where, delta=piece)
        self.tell("response.function_call_arguments.done", **where, arguments=text)
        self.done({**item, "arguments": text, "status": "completed"})

    def search(self) -> None:
        rng = self.rng
        item = {"type": "web_search_call", "id": f"ws_{self.index + 1}", "status": "in_progress"}
        where = self.added(item)
        self.tell("response.web_search_call.searching", **where)
        sources = [{"type": "url", "url": url} for url in rng.sample(URLS, rng.randrange(3))]
        action: JSON = {"type": "search", "query": "q", "sources": sources}
        if rng.random() < 0.3:
            action["queries"] = ["q", "r"]
        if rng.random() < 0.3:
            action = {"type": "open_page", "url": rng.choice(URLS)}
        if rng.random() < 0.2:
            action = {"type": "find_in_page", "url": rng.choice(URLS), "pattern": "x"}
        status = "completed" if rng.random() < 0.9 else "failed"
        self.done({**item, "status": status, "action": action})

    def file_search(self) -> None:
        item: JSON = {"type": "file_search_call", "id": f"fs_{self.index + 1}", "queries": ["q"]}
        self.added({**item, "status": "in_progress", "results": None})
        results = [
            {"file_id": f"file_{n}", "filename": f"{n}.txt", "score": 0.5, "text": "so"}
            | {"attributes": {"k": "v"}}
            for n in range(self.rng.randrange(3))
        ]
        found = results if self.rng.random() < 0.7 else None
        self.done({**item, "status": "completed", "results": found})

    def image(self) -> None:
        item = {"type": "image_generation_call", "id": f"ig_{self.index + 1}"}
        where = self.added({**item, "status": "in_progress"})
        for number in range(self.rng.randrange(3)):
            partial = {"partial_image_index": number, "partial_image_b64": f"UGFydA{number}"}
            self.tell("response.image_generation_call.partial_image", **where, **partial)
        self.done({**item, "status": "completed", "result": "SW1n"})

    def interpret(self) -> None:
        item: JSON = {"type": "code_interpreter_call", "id": f"ci_{self.index + 1}"}
        item |= {"container_id": "cntr_1", "code": None, "outputs": None}
        where = self.added({**item, "status": "in_progress"})
        code = 'print("1")\n'
        for piece in pieces(self.rng, code):
            self.tell("response.code_interpreter_call_code.delta", **where, delta=piece)
        self.tell("response.code_interpreter_call_code.done", **where, code=code)
        outputs = [{"type": "logs", "logs": "1\n"}] if self.rng.random() < 0.5 else None
        self.done({**item, "code": code, "outputs": outputs, "status": "completed"})

    def mcp(self) -> None:
        item: JSON = {"type": "mcp_call", "id": f"mcp_{self.index + 1}", "name": "echo"}
        item |= {"server_label": "s", "arguments": "", "output": None, "error": None}
        self.added({**item, "status": "in_progress"})
        ended = {"output": "hey"} if self.rng.random() < 0.7 else {"error": {"type": "x"}}
        self.done({**item, "arguments": '{"a": 1}', "status": "completed", **ended})


def annotation(rng: Random) -> JSON:
    match rng.randrange(4):
        case 0:
            cited = {"type": "file_citation", "file_id": "file_0", "filename": "0.txt", "index": 3}
            return cited
        case 1:
            cited = {"type": "container_file_citation", "container_id": "cntr_1"}
            cited |= {"file_id": "cfile_1", "filename": "plot.png"}
            return {**cited, "start_index": 0, "end_index": 4}
        case 2:
            return {"type": "file_path", "file_id": "file_9", "index": 1}
        case _:
            cited = {"type": "url_citation", "url": rng.choice(URLS), "title": "A"}
            return {**cited, "start_index": 0, "end_index": 4}


def responses_answer(rng: Random) -> list[JSON]:
    """Return the events of an answer of OpenAI's Responses API."""
    return ResponsesAnswer(rng).events()
