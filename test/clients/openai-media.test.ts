/** The official client as a caller of what is not text: speech, recordings, pictures. */
import {createHash} from 'node:crypto';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import OpenAI, {APIError, InternalServerError, NotFoundError, toFile} from 'openai';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {keeper} from '../proxy/harness.ts';
import {
  callersKey,
  collect,
  collectUntilRaised,
  onlyRequest,
  raised,
  startField,
  wasLeft,
  type Field,
} from './field.ts';

const {keep, closeAll} = keeper();
let field: Field;
let upstream: Simulator;
let client: OpenAI;

beforeEach(async () => {
  field = await startField(keep);
  ({upstream} = field);
  client = new OpenAI({baseURL: `${field.proxy.url}/v1`, apiKey: callersKey, maxRetries: 0});
});
afterEach(() => field.settled().finally(closeAll));

const bytes = new Uint8Array(Array.from({length: 20_000}, (_, index) => index % 251));
const sha256 = createHash('sha256').update(bytes).digest('hex');
const recording = (): Promise<File> => toFile(bytes, 'hello.wav', {type: 'audio/wav'});
const picture = (name = 'cat.png'): Promise<File> => toFile(bytes, name, {type: 'image/png'});

const isPng = (base64: string | undefined): boolean =>
  Buffer.from(base64 ?? '', 'base64')
    .subarray(1, 4)
    .equals(Buffer.from('PNG'));

describe('speech of the openai client', () => {
  const words = {model: 'voice', voice: 'alloy', input: 'One two three.', response_format: 'wav'} as const;
  const speak = (fields: object = {}): Promise<Response> => client.audio.speech.create({...words, ...fields});
  const read = async (response: Response): Promise<AsyncIterable<Uint8Array>> => {
    if (response.body === null) throw new Error('there is no body');
    return response.body;
  };

  it('comes whole', async () => {
    const response = await speak();
    expect(response.headers.get('content-type')).toBe('audio/wav');
    const sound = Buffer.from(await response.arrayBuffer());
    expect(sound.subarray(0, 4).toString()).toBe('RIFF');
    expect(sound.readUInt32LE(4)).toBe(sound.length - 8);
    expect(onlyRequest(upstream)).toMatchObject({path: '/v1/audio/speech', body: words});
    expect(JSON.stringify(onlyRequest(upstream).headers)).not.toContain(callersKey);
  });

  it('comes as it is spoken, to the end', async () => {
    const whole = Buffer.from(await (await speak()).arrayBuffer());
    upstream.behave({do: 'answer', tokensPerSecond: 50});
    const pieces = await collect(await read(await speak()));
    expect(pieces.length).toBeGreaterThan(1);
    expect(Buffer.concat(pieces).equals(whole)).toBe(true);
  });

  it('comes as events, if it is asked for so', async () => {
    const text = await speak({response_format: 'pcm', stream_format: 'sse'}).then((response) => response.text());
    const events = text
      .split('\n\n')
      .filter((event) => event.startsWith('data: {'))
      .map((event) => JSON.parse(event.slice('data: '.length)) as {type: string; audio?: string; usage?: object});
    expect(events.slice(0, -1).every(({audio = ''}) => audio.length > 0)).toBe(true);
    expect(events.at(-1)).toMatchObject({type: 'speech.audio.done', usage: {output_tokens: 4}});
  });

  it.each([
    ['cut', {do: 'cut', afterTokens: 2}],
    ['reset', {do: 'reset', where: 'AfterTokens', tokens: 2}],
  ] as const)('never looks whole when it is %s', async (_, behaviour) => {
    upstream.behave({...behaviour, tokensPerSecond: 50});
    expect(await raised(speak().then((response) => response.arrayBuffer()))).toMatchObject({name: 'TypeError'});
    const {all, error} = await collectUntilRaised(speak().then(read));
    expect(Buffer.concat(all).length).toBeGreaterThan(0);
    expect(error).toMatchObject({name: 'TypeError', message: 'terminated'});
    expect(upstream.requests()).toHaveLength(2);
  });

  it('that cannot be had is a typed error', async () => {
    upstream.behave({do: 'status', status: 500});
    expect(await raised(speak())).toMatchObject({constructor: InternalServerError, code: 'backend_error'});
    upstream.behave({do: 'notJson'});
    expect(await raised(speak())).toMatchObject({code: 'backend_malformed_reply'});
  });

  it('that its caller leaves stops the backend', async () => {
    upstream.behave({do: 'answer', answerTokens: 500, tokensPerSecond: 50});
    for await (const piece of await read(await speak({response_format: 'mp3'}))) if (piece.length > 0) break;
    await wasLeft(field);
  });
});

describe('a recording from the openai client', () => {
  const text = ['What', ' was', ' said'];
  const said: BehaviourInput = {do: 'answer', text};

  const expectForm = (path: string, fields: Record<string, string[]>): void => {
    const {form, ...request} = onlyRequest(upstream);
    expect(request.path).toBe(path);
    expect({...form?.fields}).toMatchObject(fields);
    expect(form?.files).toEqual([
      {field: 'file', name: 'hello.wav', contentType: 'audio/wav', size: bytes.length, sha256},
    ]);
    expect(JSON.stringify(request.headers)).not.toContain(callersKey);
  };

  it('is transcribed', async () => {
    upstream.behave(said);
    const answer = await client.audio.transcriptions.create({model: 'ears', file: await recording(), language: 'en'});
    expect(answer).toMatchObject({text: 'What was said', usage: {output_tokens: 3}});
    expectForm('/v1/audio/transcriptions', {model: ['ears'], language: ['en']});
  });

  it('is transcribed with segments, and as bare text', async () => {
    upstream.behave(said);
    const file = await recording();
    const answer = await client.audio.transcriptions.create({model: 'ears', file, response_format: 'verbose_json'});
    expect(answer.segments?.[0]?.text).toBe('What was said');
    expect(await client.audio.transcriptions.create({model: 'ears', file, response_format: 'text'})).toBe(
      'What was said\n',
    );
  });

  it('is transcribed piece by piece', async () => {
    upstream.behave(said);
    const stream = await client.audio.transcriptions.create({model: 'ears', file: await recording(), stream: true});
    const events = await collect(stream);
    const deltas = events.map((event) => (event.type === 'transcript.text.delta' ? event.delta : ''));
    expect(deltas.join('')).toBe('What was said');
    expect(events.at(-1)).toMatchObject({type: 'transcript.text.done', text: 'What was said'});
    expectForm('/v1/audio/transcriptions', {model: ['ears'], stream: ['true']});
  });

  it('is translated', async () => {
    upstream.behave(said);
    const answer = await client.audio.translations.create({model: 'ears', file: await recording()});
    expect(answer.text).toBe('What was said');
    expectForm('/v1/audio/translations', {model: ['ears']});
  });

  it('for a model that nobody serves raises NotFoundError', async () => {
    const asking = client.audio.transcriptions.create({model: 'nobody', file: await recording()});
    expect(await raised(asking)).toMatchObject({constructor: NotFoundError, code: 'model_not_found'});
    expect(upstream.requests()).toEqual([]);
  });

  it('raises the backend’s failure', async () => {
    upstream.behave({do: 'status', status: 503});
    const asking = client.audio.transcriptions.create({model: 'ears', file: await recording()});
    expect(await raised(asking)).toMatchObject({
      constructor: InternalServerError,
      status: 502,
      code: 'backend_error',
    });
  });

  it.each<[string, BehaviourInput]>([
    ['is cut', {do: 'cut', afterTokens: 2}],
    ['ends too soon but properly', {do: 'cut', afterTokens: 2, graceful: true}],
    ['is ended by an error of the backend', {do: 'errorEvent', afterTokens: 2, error: {message: 'No.'}}],
  ])('raises behind what came when its stream %s', async (_, behaviour) => {
    upstream.behave({...behaviour, text});
    const {all, error} = await collectUntilRaised(
      client.audio.transcriptions.create({model: 'ears', file: await recording(), stream: true}),
    );
    expect(all).toMatchObject([{delta: 'What'}, {delta: ' was'}]);
    expect(error).toMatchObject({constructor: APIError, code: 'stream_cut'});
  });
});

describe('pictures of the openai client', () => {
  it('are made', async () => {
    const {data, usage} = await client.images.generate({model: 'picture', prompt: 'A cat', n: 2, size: '256x256'});
    expect(data?.map(({b64_json: base64}) => isPng(base64))).toEqual([true, true]);
    expect(usage?.output_tokens).toBeGreaterThan(0);
    expect(onlyRequest(upstream)).toMatchObject({
      path: '/v1/images/generations',
      body: {model: 'picture', prompt: 'A cat', n: 2, size: '256x256'},
    });
  });

  it('are made with previews', async () => {
    const stream = await client.images.generate({model: 'picture', prompt: 'A cat', stream: true, partial_images: 2});
    const events = await collect(stream);
    expect(events.map(({type}) => type)).toEqual([
      'image_generation.partial_image',
      'image_generation.partial_image',
      'image_generation.completed',
    ]);
    expect(events.every(({b64_json: base64}) => isPng(base64))).toBe(true);
  });

  it('are never taken for made when they are cut', async () => {
    upstream.behave({do: 'cut', afterTokens: 1});
    const {all, error} = await collectUntilRaised(
      client.images.generate({model: 'picture', prompt: 'A cat', stream: true, partial_images: 2}),
    );
    expect(all.map(({type}) => type)).toEqual(['image_generation.partial_image']);
    expect(error).toMatchObject({constructor: APIError, code: 'stream_cut'});
  });

  it('are edited', async () => {
    const {data} = await client.images.edit({
      model: 'picture',
      image: [await picture('cat.png'), await picture('dog.png')],
      prompt: 'Two hats',
    });
    expect(isPng(data?.[0]?.b64_json)).toBe(true);
    const {path, form} = onlyRequest(upstream);
    expect(path).toBe('/v1/images/edits');
    expect({...form?.fields}).toEqual({model: ['picture'], prompt: ['Two hats']});
    expect(form?.files.map(({field: name, name: file, sha256: hash}) => [name, file, hash])).toEqual([
      ['image[]', 'cat.png', sha256],
      ['image[]', 'dog.png', sha256],
    ]);
  });

  it('are varied', async () => {
    const {data} = await client.images.createVariation({model: 'picture', image: await picture()});
    expect(isPng(data?.[0]?.b64_json)).toBe(true);
    expect(onlyRequest(upstream)).toMatchObject({path: '/v1/images/variations', form: {files: [{sha256}]}});
  });
});
