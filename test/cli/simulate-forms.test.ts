/** The simulator's APIs that take a multipart form, as the official client sends it. */
import {createHash} from 'node:crypto';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import OpenAI, {BadRequestError, NotFoundError} from 'openai';
import {startSimulator, type Simulator} from '../../simulator/index.ts';

let simulator: Simulator;
let client: OpenAI;
beforeEach(async () => {
  simulator = await startSimulator({models: ['whisper'], name: 'local', tokens: 4});
  client = new OpenAI({baseURL: simulator.url, apiKey: 'sk-none', maxRetries: 0});
});
afterEach(() => simulator.close());

const bytes = Buffer.alloc(9_000, 'sound');
const file = (): File => new File([bytes], 'speech.wav', {type: 'audio/wav'});
const request = () => ({model: 'whisper', file: file()});

describe('a transcription', () => {
  it('says what was heard, and the simulator what it was sent', async () => {
    const answer = await client.audio.transcriptions.create({...request(), language: 'de'});
    expect(answer).toMatchObject({
      text: 'Hello from local.',
      usage: {type: 'tokens', input_tokens: 30, output_tokens: 4, total_tokens: 34},
    });
    expect(simulator.requests()[0]).toMatchObject({status: 200, body: undefined, text: ''});
    expect(simulator.requests()[0]!.form).toEqual({
      fields: {model: ['whisper'], language: ['de']},
      files: [
        {
          field: 'file',
          name: 'speech.wav',
          contentType: 'audio/wav',
          size: 9_000,
          sha256: createHash('sha256').update(bytes).digest('hex'),
        },
      ],
    });
  });

  it('comes as text, and with all that is known', async () => {
    const text: unknown = await client.audio.transcriptions.create({...request(), response_format: 'text'});
    expect(text).toBe('Hello from local.\n');
    const verbose = await client.audio.transcriptions.create({...request(), response_format: 'verbose_json'});
    expect(verbose).toMatchObject({
      duration: 3,
      language: 'english',
      segments: [{start: 0, end: 3, text: 'Hello from local.'}],
      usage: {type: 'duration', seconds: 3},
    });
  });

  it('comes as events', async () => {
    const stream = await client.audio.transcriptions.create({...request(), stream: true});
    const said: string[] = [];
    for await (const event of stream) if (event.type !== 'transcript.text.segment') said.push(event.type);
    expect(said).toEqual([...Array.from({length: 4}, () => 'transcript.text.delta'), 'transcript.text.done']);
  });

  it('is translated', async () => {
    expect(await client.audio.translations.create(request())).toMatchObject({text: 'Hello from local.'});
  });

  it('misbehaves as told, also by a field of its own', async () => {
    simulator.behave({do: 'status', status: 503}, {times: 1});
    await expect(client.audio.transcriptions.create(request())).rejects.toMatchObject({status: 503});
    const form = new FormData();
    form.append('simulate', '{"do": "status", "status": 418}');
    expect((await fetch(`${simulator.url}/audio/transcriptions`, {method: 'POST', body: form})).status).toBe(418);
  });
});

describe('an image from images', () => {
  const image = (): File => new File([bytes], 'cat.png', {type: 'image/png'});

  it('is edited and varied', async () => {
    const prompt = 'a hat';
    const edited = await client.images.edit({model: 'whisper', image: [image(), image()], prompt, n: 2});
    expect([edited.data?.length, edited.usage?.input_tokens_details.image_tokens]).toEqual([2, 128]);
    const stream = await client.images.edit({
      model: 'whisper',
      image: image(),
      prompt,
      stream: true,
      partial_images: 1,
    });
    const types: string[] = [];
    for await (const {type} of stream) types.push(type);
    expect(types).toEqual(['image_edit.partial_image', 'image_edit.completed']);
    const varied = await client.images.createVariation({model: 'whisper', image: image()});
    expect(Buffer.from(varied.data![0]!.b64_json!, 'base64').toString('latin1', 1, 4)).toBe('PNG');
  });

  it('needs a prompt to be edited', async () => {
    const refused = client.images.edit({model: 'whisper', image: image(), prompt: ''});
    await expect(refused).rejects.toMatchObject({status: 400, param: 'prompt'});
  });
});

describe('a form that is refused', () => {
  const post = async (body: string | FormData, headers: Record<string, string> = {}): Promise<string> => {
    const response = await fetch(`${simulator.url}/audio/transcriptions`, {method: 'POST', body, headers});
    const {error} = (await response.json()) as {error: {code: string; param: string | null}};
    return `${response.status} ${error.code} ${error.param}`;
  };
  const form = (fields: Record<string, string | File>): FormData => {
    const data = new FormData();
    for (const [name, value] of Object.entries(fields)) data.append(name, value);
    return data;
  };

  it('names what is missing', async () => {
    expect(await post(form({file: file()}))).toBe('400 missing_required_parameter model');
    expect(await post(form({model: 'whisper'}))).toBe('400 missing_required_parameter file');
    expect(await post(form({...request(), response_format: 'constructor'}))).toBe('400 null response_format');
  });

  it.each([
    ['JSON', '{"model": "whisper"}', 'application/json'],
    ['no boundary', 'x', 'multipart/form-data'],
    ['a boundary that is not there', '--a\r\n', 'multipart/form-data; boundary=b'],
    [
      'a part that does not end',
      '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhis',
      'multipart/form-data; boundary=b',
    ],
  ])('is no form: %s', async (_, body, contentType) => {
    expect(await post(body, {'content-type': contentType})).toBe('400 invalid_form null');
  });

  it('is understood by the official client', async () => {
    const unknown = client.audio.transcriptions.create({...request(), model: 'x'});
    await expect(unknown).rejects.toBeInstanceOf(NotFoundError);
    const sent = client.audio.transcriptions.create({...request(), response_format: 'srt'});
    await expect(sent).rejects.toBeInstanceOf(BadRequestError);
  });
});
