/** The AI SDK as a caller, by its OpenAI-compatible provider and by Anthropic's. */
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import {createAnthropic} from '@ai-sdk/anthropic';
import {createOpenAICompatible} from '@ai-sdk/openai-compatible';
import {embed, embedMany, generateImage, generateText, isStepCount, Output, streamText, tool} from 'ai';
import {z} from 'zod';
import type {Simulator} from '../../simulator/index.ts';
import {keeper} from '../proxy/harness.ts';
import {openAiCompatible, providers} from './ai-sdk-providers.ts';
import {
  bodiesOf,
  lastMessage,
  callersKey,
  collect,
  onlyRequest,
  overhearing,
  startField,
  weatherArguments,
  type Field,
} from './field.ts';

const {keep, closeAll} = keeper();
let field: Field;
let upstream: Simulator;

afterEach(() => field.settled().finally(closeAll));

describe.each(providers)('the AI SDK with $name', ({api, path, model}) => {
  beforeEach(async () => {
    field = await startField(keep, api);
    ({upstream} = field);
  });

  /** Without retries of its own. */
  const asked = (name?: string, ownFetch?: typeof fetch) => ({
    model: model(field.proxy.url, name, ownFetch),
    prompt: 'Hi',
    maxRetries: 0,
  });

  it('gets a text, with usage and where it came from, and keeps its key to itself', async () => {
    const {text, finishReason, usage, finalStep} = await generateText(asked());
    expect(text).toContain('Hello from local');
    expect(finishReason).toBe('stop');
    expect(usage).toMatchObject({inputTokens: 1, outputTokens: 8});
    expect(finalStep.response.headers).toMatchObject({'x-modelroute-backend': 'local'});
    const request = onlyRequest(upstream);
    expect(request).toMatchObject({path, body: {model: 'chat'}});
    expect(JSON.stringify(request.headers)).not.toContain(callersKey);
  });

  it('gets the same text streamed, with usage', async () => {
    const {text: whole} = await generateText(asked());
    const result = streamText(asked());
    const pieces = await collect(result.textStream);
    expect(pieces).toHaveLength(8);
    expect(pieces.join('')).toBe(whole);
    expect(await result.usage).toMatchObject({inputTokens: 1, outputTokens: 8});
    expect(await result.finishReason).toBe('stop');
    expect(bodiesOf(upstream)[1]).toMatchObject({stream: true});
  });

  it('gets a stream undisturbed by what keeps it awake', async () => {
    upstream.behave({do: 'answer', ttftMs: 150});
    const {fetch, heard} = overhearing();
    const result = streamText(asked('lively', fetch));
    expect((await collect(result.textStream)).join('')).toContain('Hello from local');
    expect(await result.finishReason).toBe('stop');
    expect(heard()).toMatch(/^(:.*\n\n|event: ping\n)/);
  });

  const weather = (given: unknown[]) =>
    tool({
      description: 'The weather of a city.',
      inputSchema: z.object({city: z.string(), days: z.int()}),
      execute: (input) => {
        given.push(input);
        return 'Sunny.';
      },
    });

  it('calls a tool, and its result comes to the model', async () => {
    const given: unknown[] = [];
    const {text, steps} = await generateText({
      ...asked(),
      prompt: 'Please call the tool.',
      tools: {weather: weather(given)},
      stopWhen: isStepCount(3),
    });
    expect(given).toEqual([weatherArguments]);
    expect(steps.map(({finishReason}) => finishReason)).toEqual(['tool-calls', 'stop']);
    expect(text).toContain('Hello from local');
    expect(bodiesOf(upstream)).toHaveLength(2);
    expect(JSON.stringify(lastMessage(upstream))).toContain('Sunny.');
  });

  it('calls a tool piece by piece', async () => {
    const given: unknown[] = [];
    const result = streamText({
      ...asked(),
      prompt: 'Please call the tool.',
      tools: {weather: weather(given)},
      stopWhen: isStepCount(3),
    });
    const parts = await collect(result.stream);
    const pieces = parts.map((part) => (part.type === 'tool-input-delta' ? part.delta : ''));
    expect(pieces.filter((piece) => piece !== '').length).toBeGreaterThan(2);
    expect(JSON.parse(pieces.join(''))).toEqual(weatherArguments);
    expect(given).toEqual([weatherArguments]);
    expect(await result.text).toContain('Hello from local');
  });

  const output = Output.object({schema: z.object({title: z.string(), pages: z.int()})});
  const book = {title: 'a sample', pages: 1};

  it('gets an object by its schema, whole and streamed', async () => {
    expect((await generateText({...asked(), output})).output).toEqual(book);
    const result = streamText({...asked(), output});
    const partial = await collect(result.partialOutputStream);
    expect(partial.at(-1)).toEqual(book);
    expect(partial.length).toBeGreaterThan(1);
    expect(await result.output).toEqual(book);
    for (const body of bodiesOf(upstream)) expect(JSON.stringify(body)).toContain('"pages":{"type":"integer"');
  });

  it('gets the answer of the next backend when the first one fails', async () => {
    upstream.behave({do: 'reset'});
    expect((await generateText(asked('pair'))).text).toContain('Hello from cloud');
    expect(await streamText(asked('pair')).text).toContain('Hello from cloud');
    expect(field.second.requests()).toHaveLength(2);
  });
});

describe('the AI SDK with @ai-sdk/openai-compatible', () => {
  let provider: ReturnType<typeof openAiCompatible>;

  beforeEach(async () => {
    field = await startField(keep);
    ({upstream} = field);
    provider = openAiCompatible(field.proxy.url);
  });

  it('asks for a schema as one, not as a request to write JSON', async () => {
    const output = Output.object({schema: z.object({title: z.string()})});
    await generateText({model: provider('chat'), prompt: 'Hi', output});
    expect(onlyRequest(upstream).body).toMatchObject({
      response_format: {type: 'json_schema', json_schema: {schema: {properties: {title: {type: 'string'}}}}},
    });
  });

  it('gets no usage of a stream unless it asks, and no strange chunk', async () => {
    const unasking = createOpenAICompatible({name: 'modelroute', baseURL: `${field.proxy.url}/v1`});
    const result = streamText({model: unasking('chat'), prompt: 'Hi'});
    expect(await result.text).toContain('Hello from local');
    expect((await result.usage).outputTokens).toBeUndefined();
  });

  it('gets completions, plain and streamed', async () => {
    const asked = {model: provider.completionModel('chat'), prompt: 'Once', maxRetries: 0};
    const {text, usage} = await generateText(asked);
    expect(usage.outputTokens).toBe(8);
    expect((await collect(streamText(asked).textStream)).join('')).toBe(text);
    expect(upstream.requests().map(({path}) => path)).toEqual(['/v1/completions', '/v1/completions']);
  });

  it('gets embeddings, one and many', async () => {
    const model = provider.embeddingModel('embed');
    const {embeddings, usage} = await embedMany({model, values: ['one', 'two'], maxRetries: 0});
    expect(embeddings.map(({length}) => length)).toEqual([256, 256]);
    expect(usage.tokens).toBeGreaterThan(0);
    expect((await embed({model, value: 'two', maxRetries: 0})).embedding).toEqual(embeddings[1]);
    expect(bodiesOf(upstream)[0]).toMatchObject({model: 'embed', input: ['one', 'two']});
  });

  it('gets pictures, made and edited', async () => {
    const model = provider.imageModel('picture');
    const {image} = await generateImage({model, prompt: 'A cat', maxRetries: 0});
    expect(Buffer.from(image.uint8Array).subarray(1, 4).toString()).toBe('PNG');
    const edited = await generateImage({
      model,
      prompt: {text: 'Two hats', images: [image.uint8Array]},
      maxRetries: 0,
    });
    expect(Buffer.from(edited.image.uint8Array).subarray(1, 4).toString()).toBe('PNG');
    const [made, edit] = upstream.requests();
    expect(made).toMatchObject({path: '/v1/images/generations', body: {model: 'picture', prompt: 'A cat'}});
    expect(edit).toMatchObject({path: '/v1/images/edits', form: {fields: {model: ['picture'], prompt: ['Two hats']}}});
    expect(edit?.form?.files).toMatchObject([{size: image.uint8Array.length}]);
  });
});

describe('the AI SDK with @ai-sdk/anthropic', () => {
  beforeEach(async () => {
    field = await startField(keep, 'Anthropic');
    ({upstream} = field);
  });

  it('asks models that it does not know for few tokens and for an object by a tool, unless it is told otherwise', async () => {
    const model = createAnthropic({baseURL: `${field.proxy.url}/v1`, apiKey: callersKey})('chat');
    const output = Output.object({schema: z.object({title: z.string()})});
    const asked = {model, prompt: 'Hi', output};
    await generateText(asked);
    const providerOptions = {anthropic: {structuredOutputMode: 'outputFormat'}};
    await generateText({...asked, maxOutputTokens: 8_000, providerOptions});
    expect(bodiesOf(upstream)).toMatchObject([
      {max_tokens: 4096, tools: [{name: 'json'}]},
      {max_tokens: 8_000, output_config: {format: {type: 'json_schema'}}},
    ]);
  });
});
