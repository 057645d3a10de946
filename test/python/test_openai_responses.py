"""openai: the Responses API."""

import json

from openai import APIError, BadRequestError

from openai_case import Answer, OpenAiTest
from support import UPSTREAMS

UPSTREAM = UPSTREAMS["openai"]
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Responses(OpenAiTest):
    def respond(self, **fields):
        return self.client.responses.create(**{"model": "chat", "input": "Hi", **fields})

    def test_plain(self):
        UPSTREAM.say("Good", " day")
        response = self.respond(instructions="Be short.")
        self.assertEqual((response.output_text, response.status), ("Good day", "completed"))
        self.assertEqual(response.usage.output_tokens, 2)
        self.assertEqual(UPSTREAM.received()["path"], "/v1/responses")
        self.assertEqual(UPSTREAM.received()["body"], {"input": "Hi", "instructions": "Be short.", "model": "chat"})

    def test_streamed(self):
        UPSTREAM.say("Good", " day")
        events = list(self.respond(stream=True))
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        self.assertEqual(deltas, ["Good", " day"])
        self.assertEqual(events[0].type, "response.created")
        self.assertEqual((events[-1].type, events[-1].response.output_text), ("response.completed", "Good day"))
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        self.assert_body(UPSTREAM, stream=True, stream_options=None)

    def test_the_stream_helper(self):
        UPSTREAM.say("Good", " day")
        with self.client.responses.stream(model="chat", input="Hi") as stream:
            types = {event.type for event in stream}
            final = stream.get_final_response()
        self.assertIn("response.output_text.delta", types)
        self.assertEqual(final.output_text, "Good day")
        self.assert_body(UPSTREAM, stream=True, input="Hi")

    def test_a_function_call(self):
        response = self.respond(tools=[WEATHER], tool_choice="required")
        [call] = response.output
        self.assertEqual((call.type, call.name), ("function_call", "get_weather"))
        self.assertEqual(json.loads(call.arguments), {"city": "a sample"})
        self.assert_body(UPSTREAM, tools=[WEATHER], tool_choice="required")

    def test_structured_output(self):
        response = self.client.responses.parse(model="chat", input="Hi", text_format=Answer)
        self.assertEqual(response.output_parsed, Answer(title="a sample", pages=1))
        self.assertEqual(UPSTREAM.received()["body"]["text"]["format"]["type"], "json_schema")

    def test_an_answer_that_is_incomplete_is_one(self):
        response = self.respond(max_output_tokens=3)
        self.assertEqual((response.status, response.incomplete_details.reason), ("incomplete", "max_output_tokens"))
        events = list(self.respond(max_output_tokens=3, stream=True))
        self.assertEqual(events[-1].type, "response.incomplete")
        self.assertEqual([each["body"]["max_output_tokens"] for each in UPSTREAM.requests()], [3, 3])

    def test_goes_on_from_an_earlier_one_where_one_server_holds_it(self):
        first = self.respond()
        second = self.respond(previous_response_id=first.id, input="And?")
        self.assertEqual((second.status, second.previous_response_id), ("completed", first.id))
        self.assertEqual(UPSTREAM.requests()[1]["body"]["previous_response_id"], first.id)

    def test_where_two_could_hold_it_bad_request_with_the_remedy(self):
        for state in ({"previous_response_id": "resp_1"}, {"conversation": "conv_1"}, {"background": True}):
            with self.subTest(state), self.assertRaises(BadRequestError) as raised:
                self.respond(model="pair", **state)
            self.assertEqual((raised.exception.code, raised.exception.param), ("stateful_unsupported", *state))
            self.assertIn("input", raised.exception.message)
        self.assertEqual([UPSTREAM.requests(), UPSTREAMS["second"].requests()], [[], []])

    def assert_breaks_off(self, **behaviour):
        UPSTREAM.behave(**behaviour)
        text = ""
        with self.assertRaises(APIError) as raised:
            for event in self.respond(stream=True):
                if event.type == "response.output_text.delta":
                    text += event.delta
                self.assertNotEqual(event.type, "response.completed")
        self.assertEqual((text, raised.exception.code), ("one two", "stream_cut"))
        self.assert_body(UPSTREAM, stream=True)

    def test_a_cut_stream_raises_behind_what_came(self):
        self.assert_breaks_off(do="cut", afterTokens=2, text=["one", " two", " three"])

    def test_a_stream_with_an_error_raises_behind_what_came(self):
        self.assert_breaks_off(do="errorEvent", afterTokens=2, text=["one", " two", " three"])

    def test_a_stream_whose_model_fails_raises_behind_what_came(self):
        self.assert_breaks_off(do="failed", afterTokens=2, text=["one", " two", " three"])

    def test_left_in_the_middle_stops_the_backend(self):
        UPSTREAM.behave("answer", answerTokens=10_000, tokensPerSecond=50)
        with self.respond(stream=True) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    break
        UPSTREAM.until_left()
