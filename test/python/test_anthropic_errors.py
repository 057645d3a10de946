"""anthropic: the typed exceptions, its own retries and time-outs, leaving, and waiting."""

from anthropic import (
    Anthropic,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    ContentTooLargeError,
    GatewayTimeoutError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    ServiceUnavailableError,
)

from anthropic_case import MESSAGES, AnthropicTest
from support import UPSTREAMS

UPSTREAM = UPSTREAMS["anthropic"]


class Raises(AnthropicTest):
    def assert_raises(self, kind, status, error_type, code=None, *, times_asked=1, **fields):
        """Plain and streamed alike."""
        for stream in (False, True):
            with self.subTest(stream=stream), self.assertRaises(kind) as raised:
                self.ask(stream=stream, **fields)
            error = raised.exception
            self.assertIs(type(error), kind)
            self.assertEqual((error.status_code, error.body["type"]), (status, "error"))
            self.assertEqual((error.body["error"]["type"], error.type), (error_type, error_type))
            if code is not None:
                self.assertEqual(error.body["error"]["code"], code)
                self.assertEqual(error.body["request_id"], error.response.headers["x-request-id"])
            self.assertNotIn("127.0.0.1", str(error))
        self.assertEqual(len(UPSTREAM.requests()), 2 * times_asked)
        return error

    def test_with_the_requests_id_where_its_users_look_for_it(self):
        with self.assertRaises(NotFoundError) as raised:
            self.ask(model="nobody")
        self.assertEqual(raised.exception.request_id, raised.exception.body["request_id"])
        self.assertEqual(UPSTREAM.requests(), [])

    def test_not_found_for_a_model_that_nobody_serves(self):
        error = self.assert_raises(
            NotFoundError, 404, "not_found_error", "model_not_found", model="claud", times_asked=0
        )
        self.assertIn('"claude"', error.api_message)

    def test_not_found_for_a_model_of_the_other_api(self):
        error = self.assert_raises(
            NotFoundError, 404, "not_found_error", "api_not_supported", model="chat", times_asked=0
        )
        self.assertIn('"claude"', error.api_message)

    def test_bad_request_as_the_backend_worded_it(self):
        body = {"type": "error", "error": {"type": "invalid_request_error", "message": "No."}, "request_id": "req_1"}
        UPSTREAM.behave("status", status=400, body=body)
        error = self.assert_raises(BadRequestError, 400, "invalid_request_error")
        self.assertEqual(error.body, body)

    def test_not_found_for_what_only_anthropic_has(self):
        with self.assertRaises(NotFoundError) as raised:
            self.client.messages.batches.list()
        self.assertEqual(
            (raised.exception.type, raised.exception.body["error"]["code"]), ("not_found_error", "unknown_path")
        )
        self.assertEqual(UPSTREAM.requests(), [])

    def test_too_large(self):
        large = [{"role": "user", "content": "x" * 3_000_000}]
        self.assert_raises(
            ContentTooLargeError, 413, "request_too_large", "body_too_large", messages=large, times_asked=0
        )

    def test_rate_limit_with_the_time_to_wait(self):
        error = self.assert_raises(
            RateLimitError, 429, "rate_limit_error", "backend_rate_limited", model="claude-limited", times_asked=0
        )
        self.assertIn(int(error.response.headers["retry-after"]), range(1, 8))

    def test_502_for_a_backend_that_fails(self):
        UPSTREAM.behave("status", status=500)
        self.assert_raises(InternalServerError, 502, "api_error", "backend_error")

    def test_502_for_a_backend_that_is_overloaded(self):
        UPSTREAM.behave("status", status=529)
        self.assert_raises(InternalServerError, 502, "api_error", "backend_error")

    def test_502_not_authentication_for_the_gateways_own_key(self):
        UPSTREAM.behave("status", status=401)
        self.assert_raises(InternalServerError, 502, "api_error", "backend_refused")

    def test_502_for_a_backend_that_is_down(self):
        self.assert_raises(
            InternalServerError, 502, "api_error", "backend_connect_failed", model="claude-down", times_asked=0
        )

    def test_503_for_a_backend_that_is_full(self):
        UPSTREAM.behave("hang", where="AfterTokens")
        with self.stream(model="claude-full") as occupying:
            next(iter(occupying.text_stream))
            with self.assertRaises(ServiceUnavailableError) as raised:
                self.ask(model="claude-full")
        error = raised.exception
        self.assertEqual((error.type, error.body["error"]["code"]), ("overloaded_error", "backends_full"))
        UPSTREAM.until_left()

    def test_504_for_a_backend_that_does_not_start(self):
        UPSTREAM.behave("hang")
        self.assert_raises(GatewayTimeoutError, 504, "timeout_error", "backend_timeout", model="claude-hasty")

    def assert_breaks_off(self, **behaviour):
        UPSTREAM.behave(text=["one", " two", " three"], **behaviour)
        pieces = []
        with self.assertRaises(APIStatusError) as raised, self.stream() as stream:
            for piece in stream.text_stream:
                pieces.append(piece)
        self.assertEqual(pieces, ["one", " two"])
        error = raised.exception
        self.assertEqual((error.type, error.body["error"]["code"]), ("api_error", "stream_cut"))
        self.assertEqual(error.body["error"]["backend"], "claude")
        self.assert_body(UPSTREAM, stream=True)

    def test_out_of_a_stream_that_is_cut(self):
        self.assert_breaks_off(do="cut", afterTokens=2)

    def test_out_of_a_stream_that_is_reset(self):
        self.assert_breaks_off(do="reset", where="AfterTokens", tokens=2)

    def test_out_of_a_stream_with_an_error(self):
        overloaded = {"type": "overloaded_error", "message": "Overloaded"}
        self.assert_breaks_off(do="errorEvent", afterTokens=2, error=overloaded)

    def test_nothing_if_another_try_goes_better(self):
        UPSTREAM.behave("status", status=503, times=1)
        message = self.client.with_options(max_retries=1).messages.create(
            model="claude", max_tokens=100, messages=MESSAGES
        )
        self.assertIn("Hello from anthropic", message.content[0].text)
        self.assertEqual(len(UPSTREAM.requests()), 2)

    def test_connection_error_where_nobody_listens(self):
        gone = Anthropic(base_url="http://127.0.0.1:1", api_key="x", max_retries=0)
        self.addCleanup(gone.close)
        with self.assertRaises(APIConnectionError):
            gone.messages.create(model="claude", max_tokens=100, messages=MESSAGES)
        self.assertEqual(UPSTREAM.requests(), [])


class LeavesAndWaits(AnthropicTest):
    def test_left_in_the_middle_stops_the_backend(self):
        UPSTREAM.behave("answer", answerTokens=10_000, tokensPerSecond=200)
        with self.stream(max_tokens=10_000) as stream:
            self.assertEqual(next(iter(stream.text_stream)), "Hello")
        UPSTREAM.until_left()

    def test_its_own_time_out_stops_the_backend(self):
        UPSTREAM.behave("hang")
        with self.assertRaises(APITimeoutError):
            self.client.with_options(timeout=1).messages.create(model="claude", max_tokens=9, messages=MESSAGES)
        UPSTREAM.until_left()

    def test_pings_are_harmless(self):
        UPSTREAM.behave("pings", intervalMs=10, count=5, thenAnswer=True, text=["at", " last"])
        with self.stream() as stream:
            self.assertEqual("".join(stream.text_stream), "at last")
        self.assert_body(UPSTREAM, stream=True)

    def test_waits_through_pings_longer_than_its_own_time_out(self):
        UPSTREAM.behave("answer", ttftMs=1300, text=["at", " last"])
        patient = self.client.with_options(timeout=1)
        with patient.messages.stream(model="claude-lively", max_tokens=100, messages=MESSAGES) as stream:
            self.assertEqual("".join(stream.text_stream), "at last")
            self.assertEqual(stream.get_final_message().stop_reason, "end_turn")
        self.assert_body(UPSTREAM, stream=True, model="claude")

    def test_an_error_that_comes_after_a_ping(self):
        failure = 'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Full."}}\n\n'
        UPSTREAM.behave("raw", chunks=[{"text": "event: ping\ndata: {}\n\n"}, {"text": failure, "afterMs": 300}])
        with self.assertRaises(APIStatusError) as raised:
            list(self.ask(model="claude-lively", stream=True))
        self.assertEqual(raised.exception.status_code, 200)
        self.assertEqual(raised.exception.body["error"]["code"], "backend_error")
        self.assert_body(UPSTREAM, stream=True)
