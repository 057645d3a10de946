/** The simulator's speech, images and moderations, as the official client reads them. */
import {inflateSync} from 'node:zlib';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import OpenAI from 'openai';
import {startSimulator, type BehaviourInput, type Simulator} from '../../simulator/index.ts';
import {eventsOf, start, type Exchange} from './exchange.ts';

let simulator: Simulator;
let client: OpenAI;
beforeEach(async () => {
  simulator = await startSimulator({models: ['chat'], name: 'local', contextWindow: 1000});
  client = new OpenAI({baseURL: simulator.url, apiKey: 'sk-none', maxRetries: 0});
});
afterEach(() => simulator.close());

const ask = async (path: string, body: object, simulate: BehaviourInput = {do: 'answer'}): Promise<Exchange> => {
  const exchange = start(`${simulator.url}${path}`, {model: 'chat', ...body, simulate});
  await exchange.ended;
  return exchange;
};

const speech = {model: 'chat', voice: 'alloy' as const, input: 'One two three.'};
const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());
/** A tenth of a second for each of four words. */
const pcmBytes = 4 * 4800;

describe('speech', () => {
  it.each([
    ['wav', 'audio/wav', 44 + pcmBytes],
    ['pcm', 'audio/pcm', pcmBytes],
    ['mp3', 'audio/mpeg', 4 * 4 * 417],
  ] as const)('is sound of the length of its input: %s', async (response_format, contentType, length) => {
    const response = await client.audio.speech.create({...speech, response_format});
    expect(response.headers.get('content-type')).toBe(contentType);
    const bytes = await bytesOf(response);
    expect(bytes).toHaveLength(length);
    expect(await bytesOf(await client.audio.speech.create({...speech, response_format}))).toEqual(bytes);
  });

  it('has a header that says how much follows', async () => {
    const wav = await bytesOf(await client.audio.speech.create({...speech, response_format: 'wav'}));
    expect([wav.toString('latin1', 0, 4), wav.toString('latin1', 8, 12)]).toEqual(['RIFF', 'WAVE']);
    expect([wav.readUInt32LE(4), wav.readUInt32LE(40)]).toEqual([wav.length - 8, pcmBytes]);
    expect(wav.readUInt32LE(24)).toBe(24_000);
  });

  it('comes in pieces, at its pace', async () => {
    const startedAt = performance.now();
    const exchange = await ask('/audio/speech', speech, {do: 'answer', ttftMs: 20, tokensPerSecond: 50});
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(75);
    expect([exchange.state, exchange.headers['content-length']]).toEqual(['Complete', undefined]);
    expect(exchange.chunkSizes.length).toBeGreaterThanOrEqual(4);
  });

  it.each<[string, BehaviourInput, number]>([
    ['tokens', {do: 'cut', afterTokens: 2}, 2 * 4800],
    ['bytes', {do: 'cut', afterBytes: 77}, 77],
  ])('is cut by %s', async (_, behaviour, bytes) => {
    const exchange = await ask('/audio/speech', {...speech, response_format: 'pcm'}, behaviour);
    expect([exchange.state, exchange.chunkSizes.reduce((sum, size) => sum + size, 0)]).toEqual(['ECONNRESET', bytes]);
  });

  it('is not what a stream of events is to a behaviour', async () => {
    const exchange = await ask('/audio/speech', speech, {do: 'errorEvent'});
    expect([exchange.state, exchange.chunkSizes.reduce((sum, size) => sum + size, 0)]).toEqual([
      'Complete',
      4 * 4 * 417,
    ]);
  });

  it('comes as events', async () => {
    const exchange = await ask('/audio/speech', {...speech, response_format: 'pcm', stream_format: 'sse'});
    const events = eventsOf(exchange.text).map(({data}) => data);
    expect(events.map(({type}) => type)).toEqual([
      ...Array.from({length: 4}, () => 'speech.audio.delta'),
      'speech.audio.done',
    ]);
    const audio = Buffer.concat(events.slice(0, 4).map((data) => Buffer.from(String(data.audio), 'base64')));
    expect(audio).toEqual(await bytesOf(await client.audio.speech.create({...speech, response_format: 'pcm'})));
    expect(events[4]).toMatchObject({usage: {input_tokens: 4, output_tokens: 4, total_tokens: 8}});
  });

  it.each([
    ['an unknown model', {model: 'x'}, '404 model'],
    ['no input', {input: ''}, '400 input'],
    ['a format that it has not', {response_format: 'flac'}, '400 response_format'],
  ])('is refused: %s', async (_, change, expected) => {
    const exchange = await ask('/audio/speech', {...speech, ...change});
    const {error} = JSON.parse(exchange.text) as {error: {param: string}};
    expect(`${exchange.status} ${error.param}`).toBe(expected);
  });
});

describe('images', () => {
  it('are PNGs, as many as asked', async () => {
    const {data, usage} = await client.images.generate({model: 'chat', prompt: 'a cat', n: 2});
    expect(new Set(data!.map(({b64_json}) => b64_json)).size).toBe(2);
    const png = Buffer.from(data![0]!.b64_json!, 'base64');
    expect(png.subarray(0, 8)).toEqual(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'));
    const at = png.indexOf('IDAT');
    const pixels = inflateSync(png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4)));
    expect([png.readUInt32BE(16), png.readUInt32BE(20), pixels.length]).toEqual([16, 16, 16 * (1 + 16 * 3)]);
    expect(usage).toMatchObject({input_tokens: 2, output_tokens: 128, total_tokens: 130});
    const {data: linked} = await client.images.generate({model: 'chat', prompt: 'a cat', response_format: 'url'});
    expect(linked![0]!.url).toBe(`data:image/png;base64,${data![0]!.b64_json}`);
  });

  it('come as events, the parts first', async () => {
    const stream = await client.images.generate({model: 'chat', prompt: 'a cat', stream: true, partial_images: 2});
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    expect(types).toEqual([
      'image_generation.partial_image',
      'image_generation.partial_image',
      'image_generation.completed',
    ]);
  });

  it('stop before they are complete', async () => {
    const body = {prompt: 'a cat', stream: true, partial_images: 1};
    const exchange = await ask('/images/generations', body, {do: 'errorEvent', afterTokens: 1});
    const events = eventsOf(exchange.text);
    expect([events[0]?.event, events.length]).toEqual(['image_generation.partial_image', 2]);
    expect(events[1]?.data).toMatchObject({error: {code: 'internal_error'}});
  });
});

describe('moderations', () => {
  it('flag what names a category, each text by itself', async () => {
    const {results} = await client.moderations.create({model: 'chat', input: ['a cat', 'violence and hate']});
    expect(results.map(({flagged}) => flagged)).toEqual([false, true]);
    expect(results[1]).toMatchObject({
      categories: {violence: true, hate: true, sexual: false},
      category_scores: {violence: 0.98},
    });
  });

  it('take parts as one input', async () => {
    const input = [
      {type: 'text' as const, text: 'a cat'},
      {type: 'image_url' as const, image_url: {url: 'data:,'}},
    ];
    expect((await client.moderations.create({model: 'chat', input})).results).toMatchObject([{flagged: false}]);
  });
});
