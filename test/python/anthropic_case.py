"""What every test of the anthropic client needs. Its base URL goes without /v1."""

from anthropic import Anthropic

from support import KEY, URL, ClientTest

MESSAGES = [{"role": "user", "content": "Hi"}]


def client_of(kind, **options):
    return kind(base_url=URL, api_key=KEY, max_retries=0, timeout=10, **options)


class AnthropicTest(ClientTest):
    def setUp(self):
        super().setUp()
        self.client = client_of(Anthropic)
        self.addCleanup(self.client.close)

    def ask(self, **fields):
        return self.client.messages.create(**{"model": "claude", "max_tokens": 100, "messages": MESSAGES, **fields})

    def stream(self, **fields):
        return self.client.messages.stream(**{"model": "claude", "max_tokens": 100, "messages": MESSAGES, **fields})
