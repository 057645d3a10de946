"""anthropic: messages plain, streamed and async, tools, structured output, counting, models."""

import json
import unittest

import pydantic
from anthropic import Anthropic, AsyncAnthropic, NotFoundError

from anthropic_case import MESSAGES, AnthropicTest, client_of
from support import KEY, UPSTREAMS, URL, ClientTest

UPSTREAM = UPSTREAMS["anthropic"]
WEATHER = {
    "name": "get_weather",
    "description": "The weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Messages(AnthropicTest):
    def test_a_plain_answer(self):
        UPSTREAM.say("Grüß", " dich", " 🙂")
        message = self.ask(system="Be kind.")
        self.assertEqual([block.text for block in message.content], ["Grüß dich 🙂"])
        self.assertEqual((message.stop_reason, message.usage.output_tokens), ("end_turn", 3))
        request = UPSTREAM.received()
        self.assertEqual(request["path"], "/v1/messages")
        self.assertEqual(
            request["body"], {"max_tokens": 100, "messages": MESSAGES, "model": "claude", "system": "Be kind."}
        )
        self.assertEqual(request["headers"]["anthropic-version"], self.client.default_headers["anthropic-version"])
        self.assertNotIn("x-api-key", request["headers"])
        self.assert_no_credential(UPSTREAM)

    def test_with_a_bearer_token_too(self):
        client = Anthropic(base_url=URL, auth_token=KEY, max_retries=0, default_headers={"anthropic-beta": "new-1"})
        self.addCleanup(client.close)
        message = client.messages.create(model="claude", max_tokens=100, messages=MESSAGES)
        self.assertIn("Hello from anthropic", message.content[0].text)
        headers = UPSTREAM.received()["headers"]
        self.assertNotIn("authorization", headers)
        self.assertEqual(headers["anthropic-beta"], "new-1")
        self.assert_no_credential(UPSTREAM)

    def test_the_text_of_a_stream_and_its_final_message(self):
        UPSTREAM.say("Grüß", " dich", " 🙂")
        with self.stream() as stream:
            self.assertEqual(list(stream.text_stream), ["Grüß", " dich", " 🙂"])
            final = stream.get_final_message()
        self.assertEqual((final.content[0].text, final.stop_reason), ("Grüß dich 🙂", "end_turn"))
        self.assertEqual((final.usage.input_tokens, final.usage.output_tokens), (1, 3))
        self.assert_body(UPSTREAM, stream=True, stream_options=None)

    def test_the_events_of_a_stream(self):
        UPSTREAM.say("one", " two")
        events = list(self.ask(stream=True))
        self.assertEqual(
            [event.type for event in events],
            ["message_start", "content_block_start"]
            + ["content_block_delta"] * 2
            + ["content_block_stop", "message_delta", "message_stop"],
        )
        self.assertEqual([event.delta.text for event in events[2:4]], ["one", " two"])
        self.assert_body(UPSTREAM, stream=True)

    def test_an_answer_that_is_too_short(self):
        message = self.ask(max_tokens=3)
        self.assertEqual((message.stop_reason, message.usage.output_tokens), ("max_tokens", 3))
        self.assert_body(UPSTREAM, max_tokens=3)

    def test_tokens_counted(self):
        counted = self.client.messages.count_tokens(model="claude", messages=[{"role": "user", "content": "x" * 400}])
        self.assertEqual(counted.input_tokens, 100)
        self.assertEqual(UPSTREAM.received()["path"], "/v1/messages/count_tokens")
        self.assert_no_credential(UPSTREAM)

    def test_the_beta_resource(self):
        """It asks with ?beta=true and a header."""
        message = self.client.beta.messages.create(model="claude", max_tokens=10, messages=MESSAGES, betas=["new-1"])
        self.assertIn("Hello from anthropic", message.content[0].text)
        self.assertEqual(UPSTREAM.received()["headers"]["anthropic-beta"], "new-1")
        self.assert_body(UPSTREAM, max_tokens=10)


class Tools(AnthropicTest):
    def test_a_use_and_the_answer_to_its_result(self):
        message = self.ask(tools=[WEATHER], tool_choice={"type": "any"})
        [use] = message.content
        self.assertEqual((message.stop_reason, use.name, use.input), ("tool_use", "get_weather", {"city": "a sample"}))
        result = {"type": "tool_result", "tool_use_id": use.id, "content": "Sunny"}
        UPSTREAM.say("It is sunny.")
        turns = [*MESSAGES, {"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
        self.assertEqual(self.ask(tools=[WEATHER], messages=turns).content[0].text, "It is sunny.")
        first, second = (request["body"] for request in UPSTREAM.requests())
        self.assertEqual((first["tools"], first["tool_choice"]), ([WEATHER], {"type": "any"}))
        self.assertEqual(second["messages"][2]["content"], [result])
        self.assertEqual(second["messages"][1]["content"][0]["id"], use.id)

    def test_a_use_piece_by_piece(self):
        with self.stream(tools=[WEATHER], tool_choice={"type": "tool", "name": "get_weather"}) as stream:
            pieces = [event.partial_json for event in stream if event.type == "input_json"]
            final = stream.get_final_message()
        self.assertEqual(json.loads("".join(pieces)), {"city": "a sample"})
        self.assertEqual(final.content[0].input, {"city": "a sample"})
        self.assert_body(UPSTREAM, stream=True, tools=[WEATHER])

    def test_structured_output(self):
        class Answer(pydantic.BaseModel):
            title: str
            pages: int

        message = self.client.messages.parse(model="claude", max_tokens=100, messages=MESSAGES, output_format=Answer)
        self.assertEqual(message.parsed_output, Answer(title="a sample", pages=1))
        self.assertEqual(UPSTREAM.received()["body"]["output_config"]["format"]["type"], "json_schema")


class Models(AnthropicTest):
    def test_listed_and_found(self):
        listed = [model.id for model in self.client.models.list()]
        self.assertLessEqual({"chat", "claude"}, set(listed))
        self.assertEqual(self.client.models.retrieve("claude").display_name, "claude")
        self.assertEqual(self.client.models.retrieve("claude").created_at.year, 1970)
        with self.assertRaises(NotFoundError) as raised:
            self.client.models.retrieve("nobody")
        self.assertEqual(raised.exception.status_code, 404)
        self.assertEqual(UPSTREAM.requests(), [])


class Async(ClientTest, unittest.IsolatedAsyncioTestCase):
    async def test_plain_and_streamed_say_the_same(self):
        client = client_of(AsyncAnthropic)
        self.addAsyncCleanup(client.close)
        plain = await client.messages.create(model="claude", max_tokens=100, messages=MESSAGES)
        async with client.messages.stream(model="claude", max_tokens=100, messages=MESSAGES) as stream:
            text = "".join([piece async for piece in stream.text_stream])
        self.assertEqual(text, plain.content[0].text)
        self.assertIn("Hello from anthropic", text)
        self.assertEqual([each["body"].get("stream", False) for each in UPSTREAM.requests()], [False, True])
