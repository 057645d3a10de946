/** POST /v1/audio/speech: https://platform.openai.com/docs/api-reference/audio/createSpeech */
import {z} from 'zod';
import type {Outcome} from './errors.ts';
import {badRequest, modelIsUnknown, paced, paceOf, promptIsTooLong, toldIn, type Call} from './model.ts';
import {event, eventStreamHeaders, openAiEvents, piece, type StreamedAnswer} from './reply.ts';
import {estimateTokens, hashOf, randomFrom, tokensOf} from './text.ts';

const speechSchema = z.looseObject({
  model: z.string(),
  input: z.string().min(1),
  voice: z.union([z.string(), z.looseObject({id: z.string()})]).optional(),
  response_format: z.enum(['mp3', 'wav', 'pcm']).default('mp3'),
  stream_format: z.enum(['audio', 'sse']).default('audio'),
});

/** Samples per second, 16 bits each, one channel: what OpenAI's `pcm` is. */
const sampleRate = 24_000;

/** A tenth of a second of noise for a word; longer only for one that is told to be huge. */
const noise = (word: string, random: () => number): Uint8Array => {
  const samples = Buffer.alloc(2 * Math.max(sampleRate / 10, word.length));
  for (let at = 0; at < samples.length; at += 2) samples.writeInt16LE(Math.floor((random() - 0.5) * 8000), at);
  return samples;
};

/** http://soundfile.sapp.org/doc/WaveFormat/ */
const wavHeader = (dataBytes: number): Uint8Array => {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + dataBytes, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20); // PCM
  header.writeUInt16LE(1, 22); // channels
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(sampleRate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(dataBytes, 40);
  return header;
};

const pcm = (words: string[]): Uint8Array[] => {
  const random = randomFrom(hashOf(words.join('')));
  return words.map((word) => noise(word, random));
};

const wav = (words: string[]): Uint8Array[] => {
  const [first, ...rest] = pcm(words);
  if (first === undefined) return [wavHeader(0)];
  const dataBytes = rest.reduce((sum, {length}) => sum + length, first.length);
  return [Buffer.concat([wavHeader(dataBytes), first]), ...rest];
};

/** An MPEG-1 layer III frame at 128 kbit/s and 44.1 kHz with nothing in it is 26 ms of silence. */
const mp3Frame = Buffer.concat([Buffer.from([0xff, 0xfb, 0x90, 0x00]), Buffer.alloc(413)]);
const mp3 = (words: string[]): Uint8Array[] => words.map(() => Buffer.concat(Array.from({length: 4}, () => mp3Frame)));

const formats: Record<'mp3' | 'wav' | 'pcm', {contentType: string; sound: (words: string[]) => Uint8Array[]}> = {
  mp3: {contentType: 'audio/mpeg', sound: mp3},
  wav: {contentType: 'audio/wav', sound: wav},
  pcm: {contentType: 'audio/pcm', sound: pcm},
};

/** What is spoken, a piece of sound for each word. */
const wordsOf = ({overrides}: Call, input: string): string[] => {
  const words = toldIn(overrides) ?? tokensOf(input);
  const count = overrides.answerTokens ?? words.length;
  return Array.from({length: count}, (_, index) => words[index % words.length] ?? '');
};

const spokenAsEvents = (call: Call, sounds: Uint8Array[], inputTokens: number): StreamedAnswer => {
  const usage = {
    input_tokens: inputTokens,
    output_tokens: sounds.length,
    total_tokens: inputTokens + sounds.length,
  };
  const report = call.overrides.usage === 'Never' ? {} : {usage};
  return {
    kind: 'Streamed',
    headers: eventStreamHeaders,
    opening: [],
    content: paced(sounds, paceOf(call), (sound) =>
      event({type: 'speech.audio.delta', audio: Buffer.from(sound).toString('base64')}),
    ),
    closing: [],
    done: [piece(event({type: 'speech.audio.done', ...report}))],
    events: openAiEvents('{"type": "speech.audio.delta", "audio": "AAAA'),
  };
};

const spokenAsBytes = (call: Call, contentType: string, sounds: Uint8Array[]): StreamedAnswer => ({
  kind: 'Streamed',
  headers: {'content-type': contentType},
  opening: [],
  content: paced(sounds, paceOf(call), (sound) => sound),
  closing: [],
  done: [],
  events: undefined,
});

export const answerSpeech = (body: unknown, call: Call): Outcome => {
  const parsed = speechSchema.safeParse(body);
  if (!parsed.success) return badRequest(parsed.error);
  const request = parsed.data;
  const format = formats[request.response_format];
  const inputTokens = estimateTokens(request.input);
  const refusal = modelIsUnknown(call.server, request.model) ?? promptIsTooLong(call.server, inputTokens, 'input');
  if (refusal !== undefined) return refusal;
  const sounds = format.sound(wordsOf(call, request.input));
  return request.stream_format === 'sse'
    ? spokenAsEvents(call, sounds, inputTokens)
    : spokenAsBytes(call, format.contentType, sounds);
};
