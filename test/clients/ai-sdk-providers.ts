/** The AI SDK's two providers, pointed at ModelRoute as docs/clients.md says. */
import {createAnthropic} from '@ai-sdk/anthropic';
import {createOpenAICompatible, type OpenAICompatibleProvider} from '@ai-sdk/openai-compatible';
import type {LanguageModel} from 'ai';
import {callersKey} from './field.ts';

// It does not know the names of these models, and would say so each time.
globalThis.AI_SDK_LOG_WARNINGS = false;

export type Provider = {
  name: string;
  api: 'OpenAI' | 'Anthropic';
  path: string;
  model: (url: string, name?: string, ownFetch?: typeof fetch) => LanguageModel;
};

export const openAiCompatible = (url: string, ownFetch: typeof fetch = fetch): OpenAICompatibleProvider =>
  createOpenAICompatible({
    name: 'modelroute',
    baseURL: `${url}/v1`,
    apiKey: callersKey,
    includeUsage: true,
    supportsStructuredOutputs: true,
    fetch: ownFetch,
  });

export const providers: Provider[] = [
  {
    name: '@ai-sdk/openai-compatible',
    api: 'OpenAI',
    path: '/v1/chat/completions',
    model: (url, name = 'chat', ownFetch) => openAiCompatible(url, ownFetch)(name),
  },
  {
    name: '@ai-sdk/anthropic',
    api: 'Anthropic',
    path: '/v1/messages',
    model: (url, name = 'chat', ownFetch = fetch) =>
      createAnthropic({baseURL: `${url}/v1`, apiKey: callersKey, fetch: ownFetch})(name),
  },
];
