"""What every test of the openai client needs."""

import pydantic
from openai import OpenAI

from support import KEY, URL, ClientTest

MESSAGES = [{"role": "user", "content": "Hi"}]


class Answer(pydantic.BaseModel):
    title: str
    pages: int


def client_of(kind, **options):
    return kind(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=10, **options)


class OpenAiTest(ClientTest):
    def setUp(self):
        super().setUp()
        self.client = client_of(OpenAI)
        self.addCleanup(self.client.close)

    def chat(self, **fields):
        return self.client.chat.completions.create(**{"model": "chat", "messages": MESSAGES, **fields})
