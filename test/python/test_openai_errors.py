"""openai: the typed exceptions, its own retries and time-outs, leaving, and waiting."""

import openai
from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    UnprocessableEntityError,
)

from openai_case import MESSAGES, OpenAiTest
from support import UPSTREAMS

UPSTREAM = UPSTREAMS["openai"]


class Raises(OpenAiTest):
    # A stream that is refused is asked for once more without the stream_options that ModelRoute put in.
    ONCE_MORE = 3

    def assert_raises(self, kind, status, code, *, times_asked=2, **fields):
        """Plain and streamed alike."""
        for stream in (False, True):
            with self.subTest(stream=stream), self.assertRaises(kind) as raised:
                self.chat(stream=stream, **fields)
            self.assertIs(type(raised.exception), kind)
            self.assertEqual((raised.exception.status_code, raised.exception.code), (status, code))
            self.assertRegex(raised.exception.request_id, r"^[\da-f-]{36}$")
            self.assertNotIn("127.0.0.1", str(raised.exception))
        self.assertEqual(len(UPSTREAM.requests()), times_asked)
        return raised.exception

    def test_not_found_for_a_model_that_nobody_serves(self):
        error = self.assert_raises(NotFoundError, 404, "model_not_found", model="chta", times_asked=0)
        self.assertEqual((error.param, error.type), ("model", "invalid_request_error"))
        self.assertIn('"chat"', error.message)

    def test_not_found_for_an_api_that_no_backend_speaks(self):
        error = self.assert_raises(NotFoundError, 404, "api_not_supported", model="claude", times_asked=0)
        self.assertIn("claude", error.message)

    def test_not_found_for_what_only_openai_has(self):
        with self.assertRaises(NotFoundError) as raised:
            self.client.files.list()
        self.assertEqual(raised.exception.code, "unknown_path")
        self.assertEqual(UPSTREAM.requests(), [])

    def test_bad_request_as_the_backend_worded_it(self):
        body = {"error": {"message": "No.", "type": "invalid_request_error", "param": "top_p", "code": "too_big"}}
        UPSTREAM.behave("status", status=400, body=body)
        error = self.assert_raises(BadRequestError, 400, "too_big", top_p=2, times_asked=self.ONCE_MORE)
        self.assertEqual((error.param, error.body), ("top_p", body["error"]))

    def test_bad_request_for_a_prompt_that_is_too_long(self):
        long = [{"role": "user", "content": "word " * 1000}]
        self.assert_raises(BadRequestError, 400, "context_length_exceeded", messages=long)

    def test_unprocessable_as_the_backend_has_it(self):
        UPSTREAM.behave("status", status=422)
        self.assert_raises(UnprocessableEntityError, 422, None, times_asked=self.ONCE_MORE)

    def test_status_error_for_a_body_that_is_too_large(self):
        large = [{"role": "user", "content": "x" * 3_000_000}]
        self.assert_raises(APIStatusError, 413, "body_too_large", messages=large, times_asked=0)

    def test_rate_limit_with_the_time_to_wait(self):
        error = self.assert_raises(RateLimitError, 429, "backend_rate_limited", model="limited", times_asked=0)
        self.assertIn(int(error.response.headers["retry-after"]), range(1, 8))

    def test_502_for_a_backend_that_fails(self):
        UPSTREAM.behave("status", status=500)
        self.assert_raises(InternalServerError, 502, "backend_error")

    def test_502_not_authentication_for_the_gateways_own_key(self):
        UPSTREAM.behave("status", status=401)
        self.assert_raises(InternalServerError, 502, "backend_refused")

    def test_502_for_a_backend_that_breaks_off(self):
        UPSTREAM.behave("reset", where="BeforeFirstToken")
        self.assert_raises(InternalServerError, 502, "backend_reset")

    def test_502_for_an_answer_that_is_none(self):
        UPSTREAM.behave("notJson")
        self.assert_raises(InternalServerError, 502, "backend_malformed_reply")

    def test_502_for_a_backend_that_is_down(self):
        self.assert_raises(InternalServerError, 502, "backend_connect_failed", model="down", times_asked=0)

    def test_503_for_a_backend_that_is_full(self):
        UPSTREAM.behave("hang", where="AfterTokens")
        with self.chat(model="full", stream=True) as occupying:
            next(iter(occupying))
            with self.assertRaises(InternalServerError) as raised:
                self.chat(model="full")
        self.assertEqual((raised.exception.status_code, raised.exception.code), (503, "backends_full"))
        self.assertIn("retry-after", raised.exception.response.headers)
        UPSTREAM.until_left()

    def test_504_for_a_backend_that_does_not_start(self):
        UPSTREAM.behave("hang")
        self.assert_raises(InternalServerError, 504, "backend_timeout", model="hasty")

    def assert_breaks_off(self, **behaviour):
        UPSTREAM.behave(text=["one", " two", " three"], **behaviour)
        pieces = []
        with self.assertRaises(APIError) as raised:
            for chunk in self.chat(stream=True):
                pieces.append(chunk.choices[0].delta.content)
                self.assertIsNone(chunk.choices[0].finish_reason)
        self.assertEqual([piece for piece in pieces if piece], ["one", " two"])
        error = raised.exception
        self.assertEqual((error.code, error.type, error.body["backend"]), ("stream_cut", "api_error", "local"))
        self.assert_body(UPSTREAM, stream=True)

    def test_out_of_the_iterator_of_a_stream_that_is_cut(self):
        self.assert_breaks_off(do="cut", afterTokens=2)

    def test_out_of_the_iterator_of_a_stream_that_ends_too_soon(self):
        self.assert_breaks_off(do="cut", afterTokens=2, graceful=True)

    def test_out_of_the_iterator_of_a_stream_that_is_reset(self):
        self.assert_breaks_off(do="reset", where="AfterTokens", tokens=2)

    def test_out_of_the_iterator_of_a_stream_with_an_error(self):
        self.assert_breaks_off(do="errorEvent", afterTokens=2)

    def test_connection_error_where_nobody_listens(self):
        gone = openai.OpenAI(base_url="http://127.0.0.1:1/v1", api_key="x", max_retries=0)
        self.addCleanup(gone.close)
        with self.assertRaises(APIConnectionError):
            gone.chat.completions.create(model="chat", messages=MESSAGES)
        self.assertEqual(UPSTREAM.requests(), [])


class FailsOver(OpenAiTest):
    def test_unseen_by_the_client(self):
        UPSTREAM.behave("status", status=500)
        raw = self.client.chat.completions.with_raw_response.create(model="pair", messages=MESSAGES)
        self.assertIn("Hello from second", raw.parse().choices[0].message.content)
        self.assertEqual((raw.headers["x-modelroute-backend"], raw.headers["x-modelroute-attempts"]), ("cloud", "2"))
        self.assert_body(UPSTREAMS["second"], model="chat", messages=MESSAGES)
        self.assert_body(UPSTREAM, model="chat", messages=MESSAGES)

    def test_unseen_by_the_client_in_a_stream(self):
        UPSTREAM.behave("reset", where="AfterTokens", tokens=0)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in self.chat(model="pair", stream=True))
        self.assertTrue(text.startswith("Hello from second"), text)
        self.assert_body(UPSTREAMS["second"], model="chat", stream=True)
        self.assert_body(UPSTREAM, model="chat", stream=True)


class Retries(OpenAiTest):
    def test_what_may_go_better(self):
        UPSTREAM.behave("status", status=503, times=1)
        completion = self.client.with_options(max_retries=1).chat.completions.create(model="chat", messages=MESSAGES)
        self.assertIn("Hello from openai", completion.choices[0].message.content)
        self.assertEqual(len(UPSTREAM.requests()), 2)

    def test_never_what_is_its_own_fault(self):
        UPSTREAM.behave("status", status=400)
        with self.assertRaises(BadRequestError):
            self.client.with_options(max_retries=3).chat.completions.create(model="chat", messages=MESSAGES)
        self.assert_body(UPSTREAM, model="chat")


class Leaves(OpenAiTest):
    def test_a_stream_by_closing_it(self):
        UPSTREAM.behave("answer", answerTokens=100_000, tokensPerSecond=200)
        with self.chat(stream=True) as stream:
            for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
        UPSTREAM.until_left()

    def test_before_the_answer_by_its_own_time_out(self):
        UPSTREAM.behave("hang")
        with self.assertRaises(APITimeoutError):
            self.client.with_options(timeout=1).chat.completions.create(model="chat", messages=MESSAGES)
        UPSTREAM.until_left()

    def test_after_its_own_time_out_in_a_stream(self):
        UPSTREAM.behave("hang", where="AfterTokens", tokens=1)
        pieces = []
        with self.assertRaises(APITimeoutError):
            for chunk in self.client.with_options(timeout=1).chat.completions.create(
                model="chat", messages=MESSAGES, stream=True
            ):
                pieces.append(chunk.choices[0].delta.content)
        self.assertEqual(len([piece for piece in pieces if piece]), 1)
        UPSTREAM.until_left()


class Waits(OpenAiTest):
    def test_through_keep_alives_that_it_does_not_see(self):
        UPSTREAM.behave("answer", ttftMs=300, text=["at", " last"])
        raw = self.client.chat.completions.with_streaming_response.create(
            model="lively", messages=MESSAGES, stream=True
        )
        with raw as answer:
            lines = [line for line in answer.iter_lines() if line]
        self.assertGreaterEqual(len([line for line in lines if line.startswith(":")]), 2)
        UPSTREAM.reset()
        UPSTREAM.behave("answer", ttftMs=300, text=["at", " last"])
        pieces = [chunk.choices[0].delta.content or "" for chunk in self.chat(model="lively", stream=True)]
        self.assertEqual("".join(pieces), "at last")
        self.assert_body(UPSTREAM, model="chat", stream=True)

    def test_longer_than_its_own_time_out_because_of_them(self):
        UPSTREAM.behave("answer", ttftMs=1300, text=["at", " last"])
        patient = self.client.with_options(timeout=1)
        stream = patient.chat.completions.create(model="lively", messages=MESSAGES, stream=True)
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in stream), "at last")
        self.assert_body(UPSTREAM, stream=True)

    def test_and_gets_an_error_that_comes_after_a_keep_alive(self):
        failure = 'data: {"error": {"message": "Out of memory.", "type": "server_error"}}\n\n'
        UPSTREAM.behave("raw", chunks=[{"text": ": ping\n\n"}, {"text": failure, "afterMs": 300}])
        stream = self.chat(model="lively", stream=True)
        self.assertEqual(stream.response.status_code, 200)
        with self.assertRaises(APIError) as raised:
            list(stream)
        self.assertEqual((raised.exception.code, raised.exception.body["attempts"]), ("backend_error", 1))
        self.assert_body(UPSTREAM, stream=True)
