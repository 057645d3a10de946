"""langchain-openai: chat, tools, structured output, the Responses API, embeddings, fallbacks, and the typed exceptions."""

import asyncio
import unittest

import openai
import pydantic
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from support import KEY, UPSTREAMS, URL, ClientTest

UPSTREAM = UPSTREAMS["openai"]


class Answer(pydantic.BaseModel):
    """What is wanted."""

    title: str
    pages: int


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}"


def model_of(name="chat", **options):
    return ChatOpenAI(model=name, base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=10, **options)


class Chat(ClientTest):
    def test_invoked(self):
        UPSTREAM.say("Good", " day")
        message = model_of(temperature=0.2).invoke("Hi")
        self.assertEqual((message.content, message.usage_metadata["output_tokens"]), ("Good day", 2))
        self.assertEqual(message.response_metadata["finish_reason"], "stop")
        self.assert_body(UPSTREAM, messages=[{"role": "user", "content": "Hi"}], model="chat", temperature=0.2)
        self.assert_no_credential(UPSTREAM)

    def test_streamed(self):
        UPSTREAM.say("Good", " day", " to you")
        chunks = list(model_of().stream("Hi"))
        self.assertEqual([chunk.content for chunk in chunks if chunk.content], ["Good", " day", " to you"])
        self.assertIsNone(sum(chunks[1:], chunks[0]).usage_metadata, "usage that nobody asked for")
        self.assert_body(UPSTREAM, stream=True)

    def test_left_in_the_middle_stops_the_backend(self):
        UPSTREAM.behave("answer", answerTokens=10_000, tokensPerSecond=50)
        stream = model_of().stream("Hi")
        while not next(stream).content:
            pass
        stream.close()
        UPSTREAM.until_left()

    def test_streamed_with_usage(self):
        chunks = list(model_of(stream_usage=True).stream("Hi"))
        self.assertEqual(sum(chunks[1:], chunks[0]).usage_metadata["output_tokens"], 8)
        self.assertIn("Hello from openai", sum(chunks[1:], chunks[0]).content)
        self.assert_body(UPSTREAM, stream_options={"include_usage": True})

    def test_in_a_chain_and_in_a_batch(self):
        chain = ChatPromptTemplate.from_messages([("system", "Be kind."), ("user", "{question}")]) | model_of()
        answers = chain.batch([{"question": "One?"}, {"question": "Two?"}])
        self.assertTrue(all("Hello from openai" in answer.content for answer in answers))
        asked = sorted(request["body"]["messages"][1]["content"] for request in UPSTREAM.requests())
        self.assertEqual(asked, ["One?", "Two?"])

    def test_tools_bound(self):
        model = model_of().bind_tools([get_weather])
        called = model.invoke("Please call the tool.")
        [call] = called.tool_calls
        self.assertEqual((call["name"], call["args"]), ("get_weather", {"city": "a sample"}))
        UPSTREAM.say("It is sunny.")
        result = get_weather.invoke(call)
        self.assertIsInstance(result, ToolMessage)
        final = model.invoke([HumanMessage("Please call the tool."), called, result])
        self.assertEqual((final.content, final.tool_calls), ("It is sunny.", []))
        first, second = (request["body"] for request in UPSTREAM.requests())
        self.assertEqual(first["tools"][0]["function"]["name"], "get_weather")
        self.assertEqual(
            second["messages"][-1], {"content": "Sunny in a sample", "role": "tool", "tool_call_id": call["id"]}
        )

    def test_tools_bound_and_streamed(self):
        chunks = list(model_of().bind_tools([get_weather], tool_choice="any").stream("Hi"))
        [call] = sum(chunks[1:], chunks[0]).tool_calls
        self.assertEqual((call["name"], call["args"]), ("get_weather", {"city": "a sample"}))
        self.assert_body(UPSTREAM, stream=True, tool_choice="required")

    def test_structured_output(self):
        for method in ("json_schema", "function_calling", "json_mode"):
            if method == "json_mode":
                UPSTREAM.say('{"title": "a sample", "pages": 1}')
            with self.subTest(method):
                structured = model_of().with_structured_output(Answer, method=method)
                self.assertEqual(structured.invoke("Answer in JSON"), Answer(title="a sample", pages=1))
        schema, function, mode = (request["body"] for request in UPSTREAM.requests())
        self.assertEqual(schema["response_format"]["type"], "json_schema")
        self.assertEqual(function["tool_choice"], {"type": "function", "function": {"name": "Answer"}})
        self.assertEqual(mode["response_format"], {"type": "json_object"})


class Async(ClientTest, unittest.IsolatedAsyncioTestCase):
    async def test_invoked_and_streamed_say_the_same(self):
        plain = await model_of().ainvoke("Hi")
        streamed = "".join([chunk.content async for chunk in model_of().astream("Hi")])
        self.assertEqual(streamed, plain.content)
        self.assertIn("Hello from openai", streamed)
        self.assertEqual([each["body"].get("stream", False) for each in UPSTREAM.requests()], [False, True])


    async def test_a_cancelled_task_stops_the_backend(self):
        UPSTREAM.behave("hang")
        asking = asyncio.create_task(model_of().ainvoke("Hi"))
        while not await asyncio.to_thread(UPSTREAM.active):
            await asyncio.sleep(0.01)
        asking.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await asking
        await asyncio.to_thread(UPSTREAM.until_left)

    async def test_a_stream_left_in_the_middle_stops_the_backend(self):
        UPSTREAM.behave("answer", answerTokens=10_000, tokensPerSecond=50)
        stream = model_of().astream("Hi")
        while not (await anext(stream)).content:
            pass
        await stream.aclose()
        await asyncio.to_thread(UPSTREAM.until_left)


class Responses(ClientTest):
    def test_invoked(self):
        UPSTREAM.say("Good", " day")
        message = model_of(use_responses_api=True).invoke("Hi")
        self.assertEqual((message.text, message.usage_metadata["output_tokens"]), ("Good day", 2))
        self.assertEqual(UPSTREAM.received()["path"], "/v1/responses")
        self.assert_body(
            UPSTREAM, input=[{"content": "Hi", "role": "user", "type": "message"}], previous_response_id=None
        )

    def test_streamed(self):
        UPSTREAM.say("Good", " day")
        chunks = list(model_of(use_responses_api=True).stream("Hi"))
        whole = sum(chunks[1:], chunks[0])
        self.assertEqual((whole.text, whole.usage_metadata["output_tokens"]), ("Good day", 2))
        self.assert_body(UPSTREAM, stream=True)

    def test_with_tools_and_structured_output(self):
        called = model_of(use_responses_api=True).bind_tools([get_weather]).invoke("Please call the tool.")
        self.assertEqual(called.tool_calls[0]["args"], {"city": "a sample"})
        structured = model_of(use_responses_api=True).with_structured_output(Answer)
        self.assertEqual(structured.invoke("Hi"), Answer(title="a sample", pages=1))
        first, second = (request["body"] for request in UPSTREAM.requests())
        self.assertEqual((first["tools"][0]["name"], second["text"]["format"]["type"]), ("get_weather", "json_schema"))

    def test_a_cut_stream_raises_behind_what_came(self):
        UPSTREAM.behave("cut", afterTokens=2, text=["one", " two", " three"])
        text = ""
        with self.assertRaises(openai.APIError) as raised:
            for chunk in model_of(use_responses_api=True).stream("Hi"):
                text += chunk.text
        self.assertEqual((text, raised.exception.code), ("one two", "stream_cut"))
        self.assert_body(UPSTREAM, stream=True)

    def test_an_earlier_response_where_two_could_hold_it(self):
        model = model_of("pair", use_responses_api=True)
        with self.assertRaises(openai.BadRequestError) as raised:
            model.invoke("Hi", previous_response_id="resp_1")
        self.assertEqual(raised.exception.code, "stateful_unsupported")
        self.assertEqual(UPSTREAM.requests(), [])


class Embeddings(ClientTest):
    def embeddings(self, **options):
        # Else it would send numbers of OpenAI's own tokens, and download the list of these first.
        return OpenAIEmbeddings(
            model="embed",
            base_url=f"{URL}/v1",
            api_key=KEY,
            max_retries=0,
            dimensions=16,
            check_embedding_ctx_length=False,
            **options,
        )

    def test_of_documents_and_of_a_question(self):
        documents = self.embeddings().embed_documents(["one", "two"])
        self.assertEqual([len(vector) for vector in documents], [16, 16])
        self.assertEqual(self.embeddings().embed_query("one"), documents[0])
        self.assertNotEqual(documents[0], documents[1])
        asked = [request["body"] for request in UPSTREAM.requests()]
        self.assertEqual([each["input"] for each in asked], [["one", "two"], ["one"]])
        self.assertEqual({each["dimensions"] for each in asked}, {16})

    def test_in_batches(self):
        documents = self.embeddings(chunk_size=2).embed_documents(["one", "two", "three"])
        self.assertEqual(len(documents), 3)
        self.assertEqual([request["body"]["input"] for request in UPSTREAM.requests()], [["one", "two"], ["three"]])


class Raises(ClientTest):
    def test_model_not_found(self):
        with self.assertRaises(openai.NotFoundError) as raised:
            model_of("chta").invoke("Hi")
        self.assertEqual(raised.exception.code, "model_not_found")
        self.assertEqual(UPSTREAM.requests(), [])

    def test_a_prompt_that_is_too_long(self):
        with self.assertRaises(openai.BadRequestError) as raised:
            model_of().invoke("word " * 1000)
        self.assertEqual(raised.exception.code, "context_length_exceeded")
        self.assert_body(UPSTREAM, model="chat")

    def test_context_overflow_for_the_words_that_it_knows_it_by(self):
        """openai no longer shows the code where this looks for it."""
        message = "Input tokens exceed the configured limit of 500 tokens. Your messages resulted in 1250 tokens."
        error = {
            "message": message,
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
        UPSTREAM.behave("status", status=400, body={"error": error})
        with self.assertRaises(ContextOverflowError) as raised:
            model_of().invoke("Hi")
        self.assertEqual(raised.exception.body, error)
        self.assert_body(UPSTREAM, model="chat")

    def test_the_rest_as_openai_does(self):
        cases = [
            ({"do": "status", "status": 500}, openai.InternalServerError, "backend_error"),
            ({"do": "status", "status": 401}, openai.InternalServerError, "backend_refused"),
            ({"do": "status", "status": 429}, openai.RateLimitError, "backend_rate_limited"),
        ]
        for behaviour, kind, code in cases:
            with self.subTest(code), self.assertRaises(kind) as raised:
                model_of().invoke("Hi", extra_body={"simulate": behaviour})
            self.assertEqual(raised.exception.code, code)
        self.assertEqual(len(UPSTREAM.requests()), len(cases))

    def test_a_cut_stream_raises_behind_what_came(self):
        UPSTREAM.behave("cut", afterTokens=2, text=["one", " two", " three"])
        text = ""
        with self.assertRaises(openai.APIError) as raised:
            for chunk in model_of().stream("Hi"):
                text += chunk.content
        self.assertEqual((text, raised.exception.code), ("one two", "stream_cut"))
        self.assert_body(UPSTREAM, stream=True)


class Fallbacks(ClientTest):
    def test_to_another_route_if_the_first_fails(self):
        UPSTREAMS["second"].say("Second", " best")
        UPSTREAM.behave("status", status=500)
        with_fallback = model_of("chat").with_fallbacks([model_of("pair")])
        self.assertEqual(with_fallback.invoke("Hi").content, "Second best")
        # By the client's fallback to the other route, and there by ModelRoute's to the other backend.
        self.assertEqual(len(UPSTREAM.requests()), 2)
        self.assert_body(UPSTREAMS["second"], model="chat")

    def test_in_a_stream_that_does_not_begin(self):
        UPSTREAMS["second"].say("Second", " best")
        UPSTREAM.behave("reset", where="BeforeFirstToken")
        with_fallback = model_of("down").with_fallbacks([model_of("pair")])
        self.assertEqual("".join(chunk.content for chunk in with_fallback.stream("Hi")), "Second best")
        self.assert_body(UPSTREAM, model="chat", stream=True)
        self.assert_body(UPSTREAMS["second"], model="chat", stream=True)
