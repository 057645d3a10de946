"""openai: chat, tools, structured output, embeddings, models; plain, streamed and async."""

import asyncio
import base64
import json
import struct
import unittest

from openai import AsyncOpenAI, NotFoundError

from openai_case import MESSAGES, Answer, OpenAiTest, client_of
from support import UPSTREAMS, ClientTest

UPSTREAM = UPSTREAMS["openai"]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
}


class Chat(OpenAiTest):
    def test_a_plain_answer_with_usage_and_the_requests_id(self):
        UPSTREAM.say("Grüß", " dich", ", 世界", " 🙂")
        raw = self.client.chat.completions.with_raw_response.create(
            model="chat", messages=[{"role": "user", "content": "Grüß mich 🙂"}], temperature=0.5
        )
        completion = raw.parse()
        self.assertEqual(completion.choices[0].message.content, "Grüß dich, 世界 🙂")
        self.assertEqual(completion.choices[0].finish_reason, "stop")
        self.assertEqual((completion.usage.completion_tokens, completion.usage.total_tokens), (4, 7))
        self.assertRegex(completion._request_id, r"^[\da-f-]{36}$")
        self.assertEqual(raw.headers["x-modelroute-backend"], "local")
        self.assertEqual(
            UPSTREAM.received()["body"],
            {"messages": [{"role": "user", "content": "Grüß mich 🙂"}], "model": "chat", "temperature": 0.5},
        )
        self.assertNotIn("authorization", UPSTREAM.received()["headers"])
        self.assert_no_credential(UPSTREAM)

    def test_a_streamed_answer_piece_by_piece(self):
        UPSTREAM.say("Grüß", " dich", ", 世界", " 🙂")
        chunks = list(self.chat(stream=True))
        pieces = [chunk.choices[0].delta.content for chunk in chunks]
        self.assertEqual([piece for piece in pieces if piece], ["Grüß", " dich", ", 世界", " 🙂"])
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")
        self.assertTrue(all(len(chunk.choices) == 1 for chunk in chunks), "usage that nobody asked for")
        # Asked for by ModelRoute, to be counted.
        self.assert_body(UPSTREAM, stream=True, stream_options={"include_usage": True})

    def test_usage_in_a_stream_if_it_asks(self):
        last = list(self.chat(stream=True, stream_options={"include_usage": True}))[-1]
        self.assertEqual((last.choices, last.usage.prompt_tokens, last.usage.completion_tokens), ([], 1, 8))
        self.assert_body(UPSTREAM, stream_options={"include_usage": True})

    def test_a_stream_cut_into_pieces_of_five_bytes(self):
        UPSTREAM.behave("slowBytes", chunkBytes=5, intervalMs=0, text=["Grüß", " dich 🙂"])
        pieces = [chunk.choices[0].delta.content or "" for chunk in self.chat(stream=True)]
        self.assertEqual("".join(pieces), "Grüß dich 🙂")
        self.assert_body(UPSTREAM, stream=True)

    def test_the_stream_helper_with_its_events(self):
        UPSTREAM.say("one", " two")
        with self.client.chat.completions.stream(model="chat", messages=MESSAGES) as stream:
            deltas = [event.delta for event in stream if event.type == "content.delta" and event.delta]
            final = stream.get_final_completion()
        self.assertEqual(deltas, ["one", " two"])
        self.assertEqual(final.choices[0].message.content, "one two")
        self.assert_body(UPSTREAM, stream=True, messages=MESSAGES)

    def test_several_choices_plain_and_streamed(self):
        plain = self.chat(n=2)
        self.assertEqual([choice.index for choice in plain.choices], [0, 1])
        texts = ["", ""]
        for chunk in self.chat(n=2, stream=True):
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
        self.assertEqual(texts, [choice.message.content for choice in plain.choices])
        self.assertEqual([request["body"]["n"] for request in UPSTREAM.requests()], [2, 2])

    def test_legacy_completions_plain_and_streamed(self):
        plain = self.client.completions.create(model="chat", prompt="Once")
        chunks = self.client.completions.create(model="chat", prompt="Once", stream=True)
        self.assertEqual("".join(chunk.choices[0].text for chunk in chunks), plain.choices[0].text)
        self.assertIn("Hello from openai", plain.choices[0].text)
        self.assertEqual([request["path"] for request in UPSTREAM.requests()], ["/v1/completions"] * 2)

    def test_unknown_fields_reach_the_backend(self):
        self.chat(extra_body={"top_k": 7, "chat_template_kwargs": {"thinking": False}})
        self.assert_body(UPSTREAM, top_k=7, chat_template_kwargs={"thinking": False})


class Tools(OpenAiTest):
    def assert_called(self, call):
        self.assertEqual(call.function.name, "get_weather")
        self.assertEqual(json.loads(call.function.arguments), {"city": "a sample", "days": 1})

    def test_a_call_and_the_answer_to_its_result(self):
        completion = self.chat(tools=[WEATHER], tool_choice="required")
        self.assertEqual(completion.choices[0].finish_reason, "tool_calls")
        message = completion.choices[0].message
        self.assert_called(message.tool_calls[0])
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Sunny"}
        UPSTREAM.say("It is sunny.")
        final = self.chat(tools=[WEATHER], messages=[*MESSAGES, message, result])
        self.assertEqual(final.choices[0].message.content, "It is sunny.")
        first, second = (request["body"] for request in UPSTREAM.requests())
        self.assertEqual((first["tools"], first["tool_choice"]), ([WEATHER], "required"))
        self.assertEqual(second["messages"][-1], result)
        self.assertEqual(second["messages"][1]["tool_calls"][0]["id"], message.tool_calls[0].id)

    def test_a_call_piece_by_piece(self):
        with self.client.chat.completions.stream(
            model="chat", messages=MESSAGES, tools=[WEATHER], tool_choice="required"
        ) as stream:
            final = stream.get_final_completion()
        self.assert_called(final.choices[0].message.tool_calls[0])
        self.assert_body(UPSTREAM, stream=True, tools=[WEATHER])


class StructuredOutput(OpenAiTest):
    def assert_schema_came(self):
        wanted = UPSTREAM.received()["body"]["response_format"]
        self.assertEqual((wanted["type"], wanted["json_schema"]["strict"]), ("json_schema", True))
        self.assertEqual(set(wanted["json_schema"]["schema"]["properties"]), {"title", "pages"})

    def test_parsed_into_a_pydantic_model(self):
        completion = self.client.chat.completions.parse(model="chat", messages=MESSAGES, response_format=Answer)
        self.assertEqual(completion.choices[0].message.parsed, Answer(title="a sample", pages=1))
        self.assert_schema_came()

    def test_parsed_from_a_stream(self):
        with self.client.chat.completions.stream(model="chat", messages=MESSAGES, response_format=Answer) as stream:
            final = stream.get_final_completion()
        self.assertEqual(final.choices[0].message.parsed, Answer(title="a sample", pages=1))
        self.assert_schema_came()


class Embeddings(OpenAiTest):
    def test_in_base64_which_it_asks_for_unasked(self):
        answer = self.client.embeddings.create(model="embed", input=["one", "two"], dimensions=16)
        vectors = [each.embedding for each in answer.data]
        self.assertEqual([len(vector) for vector in vectors], [16, 16])
        self.assertNotEqual(vectors[0], vectors[1])
        self.assertAlmostEqual(sum(value * value for value in vectors[0]), 1, places=4)
        self.assertEqual(answer.usage.prompt_tokens, 2)
        self.assert_body(UPSTREAM, encoding_format="base64", input=["one", "two"], dimensions=16)

    def test_as_numbers_the_same(self):
        [number] = self.client.embeddings.create(model="embed", input="one", encoding_format="float").data
        [text] = self.client.embeddings.create(model="embed", input="one", encoding_format="base64").data
        decoded = struct.unpack("<256f", base64.b64decode(text.embedding))
        self.assertEqual([round(value, 5) for value in number.embedding], [round(value, 5) for value in decoded])
        self.assertEqual([each["body"]["encoding_format"] for each in UPSTREAM.requests()], ["float", "base64"])


class Models(OpenAiTest):
    def test_listed_and_found(self):
        listed = {model.id for model in self.client.models.list()}
        self.assertLessEqual({"chat", "embed", "pair", "claude"}, listed)
        self.assertEqual(self.client.models.retrieve("pair").id, "pair")
        with self.assertRaises(NotFoundError) as raised:
            self.client.models.retrieve("nobody")
        self.assertEqual(raised.exception.code, "model_not_found")
        self.assertEqual(UPSTREAM.requests(), [])

    def test_moderations(self):
        answer = self.client.moderations.create(model="judge", input=["a kitten", "sheer violence"])
        self.assertEqual([result.flagged for result in answer.results], [False, True])
        self.assert_body(UPSTREAM, model="judge", input=["a kitten", "sheer violence"])


class Async(ClientTest, unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.client = client_of(AsyncOpenAI)
        self.addAsyncCleanup(self.client.close)

    async def ask(self, **fields):
        return await self.client.chat.completions.create(**{"model": "chat", "messages": MESSAGES, **fields})

    async def test_plain_and_streamed_say_the_same(self):
        plain = (await self.ask()).choices[0].message.content
        pieces = [chunk.choices[0].delta.content or "" async for chunk in await self.ask(stream=True)]
        self.assertEqual("".join(pieces), plain)
        self.assertIn("Hello from openai", plain)
        self.assertEqual([each["body"].get("stream", False) for each in UPSTREAM.requests()], [False, True])

    async def test_twenty_streams_at_a_time_are_not_mixed_up(self):
        async def told(number):
            said = {"do": "answer", "text": [f"{number}:", *([f" {number}"] * 20)], "tokensPerSecond": 500}
            stream = await self.ask(stream=True, extra_body={"simulate": said})
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        told_all = await asyncio.gather(*(told(number) for number in range(20)))
        self.assertEqual(told_all, [f"{number}:" + f" {number}" * 20 for number in range(20)])
        self.assertEqual(len(UPSTREAM.requests()), 20)

    async def test_structured_output(self):
        completion = await self.client.chat.completions.parse(model="chat", messages=MESSAGES, response_format=Answer)
        self.assertEqual(completion.choices[0].message.parsed, Answer(title="a sample", pages=1))
        self.assertEqual(UPSTREAM.received()["body"]["response_format"]["type"], "json_schema")

    async def test_a_cancelled_task_stops_the_backend(self):
        UPSTREAM.behave("hang")
        asking = asyncio.create_task(self.ask(stream=True))
        while not await asyncio.to_thread(UPSTREAM.active):
            await asyncio.sleep(0.01)
        asking.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await asking
        await asyncio.to_thread(UPSTREAM.until_left)
