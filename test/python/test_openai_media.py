"""openai: speech, transcriptions, pictures, and the realtime session."""

import base64
import hashlib
import io
import json
import unittest
import wave

import httpx2
from openai import APIConnectionError, APIError, AsyncOpenAI, InternalServerError, NotFoundError

from openai_case import OpenAiTest, client_of
from support import UPSTREAMS, ClientTest

UPSTREAM = UPSTREAMS["openai"]
SOUND = ("hello.wav", bytes(range(256)) * 64, "audio/wav")


class Speech(OpenAiTest):
    def spoken(self, **fields):
        return {"model": "voice", "voice": "alloy", "input": "One two three.", "response_format": "wav", **fields}

    def test_whole(self):
        answer = self.client.audio.speech.create(**self.spoken())
        with wave.open(io.BytesIO(answer.read())) as sound:
            self.assertEqual(sound.getframerate(), 24_000)
            self.assertEqual(len(sound.readframes(sound.getnframes())), 2 * sound.getnframes())
        self.assertEqual(UPSTREAM.received()["path"], "/v1/audio/speech")
        self.assert_body(UPSTREAM, **self.spoken())

    def test_streamed_as_it_is_spoken(self):
        whole = self.client.audio.speech.create(**self.spoken()).read()
        UPSTREAM.behave("answer", tokensPerSecond=50)
        with self.client.audio.speech.with_streaming_response.create(**self.spoken()) as answer:
            self.assertEqual(answer.headers["content-type"], "audio/wav")
            pieces = list(answer.iter_bytes())
        self.assertGreater(len(pieces), 1)
        self.assertEqual(b"".join(pieces), whole)
        self.assertEqual([request["body"]["voice"] for request in UPSTREAM.requests()], ["alloy", "alloy"])

    def test_as_events(self):
        with self.client.audio.speech.with_streaming_response.create(
            **self.spoken(response_format="pcm", stream_format="sse")
        ) as answer:
            lines = [line for line in answer.iter_lines() if line.startswith("data: {")]
        events = [json.loads(line.removeprefix("data: ")) for line in lines]
        self.assertEqual(events[-1]["type"], "speech.audio.done")
        self.assertGreater(len(base64.b64decode(events[0]["audio"])), 0)
        self.assert_body(UPSTREAM, stream_format="sse")

    def test_cut_in_the_middle_raises_and_never_looks_whole(self):
        UPSTREAM.behave("cut", afterTokens=2)
        pieces = []
        with self.assertRaises(httpx2.RemoteProtocolError):
            with self.client.audio.speech.with_streaming_response.create(**self.spoken()) as answer:
                for piece in answer.iter_bytes():
                    pieces.append(piece)
        self.assertGreater(len(pieces), 0)
        UPSTREAM.behave("cut", afterTokens=2)
        with self.assertRaises(Exception) as raised:
            self.client.audio.speech.create(**self.spoken()).read()
        self.assertIn(type(raised.exception).__name__, ("APIConnectionError", "RemoteProtocolError"))
        self.assertEqual(len(UPSTREAM.requests()), 2)

    def test_left_in_the_middle_stops_the_backend(self):
        UPSTREAM.behave("answer", answerTokens=500, tokensPerSecond=20)
        with self.client.audio.speech.with_streaming_response.create(**self.spoken()) as answer:
            self.assertGreater(len(next(answer.iter_bytes())), 0)
        UPSTREAM.until_left()


class Transcriptions(OpenAiTest):
    def heard(self, **fields):
        return self.client.audio.transcriptions.create(**{"model": "ears", "file": SOUND, **fields})

    def assert_form_came(self, **fields):
        form = UPSTREAM.received()["form"]
        [file] = form["files"]
        self.assertEqual(file["sha256"], hashlib.sha256(SOUND[1]).hexdigest())
        self.assertEqual((file["field"], file["name"], file["contentType"]), ("file", SOUND[0], SOUND[2]))
        self.assertEqual({name: form["fields"].get(name) for name in fields}, fields)

    def test_plain(self):
        UPSTREAM.say("What", " was", " said")
        self.assertEqual(self.heard(language="en").text, "What was said")
        self.assert_form_came(model=["ears"], language=["en"])
        self.assert_no_credential(UPSTREAM)

    def test_with_segments(self):
        UPSTREAM.say("What", " was", " said")
        answer = self.heard(response_format="verbose_json", timestamp_granularities=["segment", "word"])
        self.assertEqual([segment.text for segment in answer.segments], ["What was said"])
        self.assert_form_came(**{"response_format": ["verbose_json"], "timestamp_granularities[]": ["segment", "word"]})

    def test_as_text(self):
        UPSTREAM.say("What", " was", " said")
        self.assertEqual(self.heard(response_format="text").strip(), "What was said")
        self.assert_form_came(response_format=["text"])

    def test_streamed(self):
        UPSTREAM.say("What", " was", " said")
        events = list(self.heard(stream=True))
        self.assertEqual([event.delta for event in events[:-1]], ["What", " was", " said"])
        self.assertEqual((events[-1].type, events[-1].text), ("transcript.text.done", "What was said"))
        self.assert_form_came(stream=["true"])

    def test_translated(self):
        UPSTREAM.say("What", " was", " said")
        answer = self.client.audio.translations.create(model="ears", file=SOUND)
        self.assertEqual(answer.text, "What was said")
        self.assertEqual(UPSTREAM.received()["path"], "/v1/audio/translations")
        self.assert_form_came(model=["ears"])

    def test_to_the_name_that_the_backend_knows(self):
        self.heard(model="pair")
        self.assert_form_came(model=["chat"])

    def test_cut_in_the_middle_raises_and_never_looks_whole(self):
        UPSTREAM.behave("cut", text=["What", " was", " said"])
        with self.assertRaises(APIConnectionError):
            self.heard(stream=False)
        UPSTREAM.behave("cut", text=["What", " was", " said"])
        heard = []
        with self.assertRaises(APIError) as raised:
            for event in self.heard(stream=True):
                heard.append(event.type)
        self.assertEqual((heard, raised.exception.code), (["transcript.text.delta"], "stream_cut"))
        self.assertEqual(len(UPSTREAM.requests()), 2)

    def test_failing_raises_and_is_not_sent_again(self):
        UPSTREAM.behave("status", status=500)
        with self.assertRaises(InternalServerError):
            self.heard(model="pair")
        self.assert_form_came(model=["chat"])
        self.assertEqual(UPSTREAMS["second"].requests(), [])

    def test_by_nobody_raises_not_found(self):
        with self.assertRaises(NotFoundError) as raised:
            self.heard(model="nobody")
        self.assertEqual((raised.exception.code, raised.exception.param), ("model_not_found", "model"))
        self.assertEqual(UPSTREAM.requests(), [])


class Pictures(OpenAiTest):
    PNG = b"\x89PNG\r\n\x1a\n"

    def test_generated(self):
        answer = self.client.images.generate(model="picture", prompt="A quiet river", n=2)
        self.assertEqual([base64.b64decode(each.b64_json)[:8] for each in answer.data], [self.PNG, self.PNG])
        self.assert_body(UPSTREAM, model="picture", prompt="A quiet river", n=2)

    def test_generated_in_a_stream(self):
        events = list(self.client.images.generate(model="picture", prompt="A river", stream=True, partial_images=2))
        types = [event.type for event in events]
        self.assertEqual(types, ["image_generation.partial_image"] * 2 + ["image_generation.completed"])
        self.assertEqual(base64.b64decode(events[-1].b64_json)[:8], self.PNG)
        self.assert_body(UPSTREAM, stream=True, partial_images=2)

    def test_edited(self):
        picture = ("in.png", self.PNG + bytes(1000), "image/png")
        answer = self.client.images.edit(model="picture", prompt="Add a boat", image=[picture, picture])
        self.assertEqual(base64.b64decode(answer.data[0].b64_json)[:8], self.PNG)
        form = UPSTREAM.received()["form"]
        self.assertEqual((form["fields"]["prompt"], form["fields"]["model"]), (["Add a boat"], ["picture"]))
        self.assertEqual([file["size"] for file in form["files"]], [1008, 1008])


class Realtime(ClientTest, unittest.IsolatedAsyncioTestCase):
    async def test_a_session(self):
        UPSTREAM.say("Hello", " there")
        client = client_of(AsyncOpenAI)
        self.addAsyncCleanup(client.close)
        async with client.realtime.connect(model="pair") as session:
            await session.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
            )
            await session.response.create(response={"output_modalities": ["text"]})
            text = ""
            async for event in session:
                if event.type == "response.output_text.delta":
                    text += event.delta
                if event.type == "response.done":
                    break
        self.assertEqual(text, "Hello there")
        self.assertEqual(UPSTREAM.received()["path"], "/v1/realtime?model=chat")
        self.assert_no_credential(UPSTREAM)
