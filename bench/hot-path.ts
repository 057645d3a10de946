/**
 * What the pure parts of one request and of one streamed event cost, in microseconds of CPU.
 *
 *   node bench/hot-path.ts [CHECKOUT]
 *
 * With another checkout, both are measured in turns, round by round, so that a busy machine disturbs both alike. Medians.
 */
import {resolve} from 'node:path';
import {pathToFileURL} from 'node:url';
import type {WireApi} from '../proxy/wire/api.ts';
import type * as Request from '../proxy/wire/request.ts';
import type * as Sse from '../proxy/wire/sse.ts';

const rounds = 21;
const roundMs = 20;

type Wire = {
  chat: WireApi;
  readRequest: typeof Request.readRequest;
  writeBody: typeof Request.writeBody;
  createSseSplitter: typeof Sse.createSseSplitter;
};

async function load(checkout: string): Promise<Wire> {
  const wire = async (file: string): Promise<object> =>
    (await import(pathToFileURL(resolve(checkout, 'proxy/wire', file)).href)) as object;
  return Object.assign({}, await wire('chat.ts'), await wire('request.ts'), await wire('sse.ts')) as Wire;
}

const prose =
  'The quiet river remembers the golden garden, and the lantern welcomes whoever comes by the sea.\n' +
  'She said: "The patient bridge carries them all after the rain; it has never asked for more than a smile."\n\n';
const code = '{"name": "lantern", "place": "harbour", "lit": true, "since": "dusk"},\n';

const fill = (text: string, length: number): string => text.repeat(Math.ceil(length / text.length)).slice(0, length);

const promptOf = (bytes: number, text = prose): Buffer =>
  Buffer.from(
    JSON.stringify({
      model: 'chat',
      messages: [
        {role: 'system', content: 'You are a helpful assistant.'},
        {role: 'user', content: fill(text, bytes)},
      ],
      temperature: 0.7,
      max_tokens: 256,
      stream: true,
    }),
  );

const conversation = Buffer.from(
  JSON.stringify({
    model: 'chat',
    messages: Array.from({length: 12}, (_, turn) => ({
      role: turn % 2 === 0 ? 'user' : 'assistant',
      content: fill(prose, 90),
    })),
    tools: [
      {
        type: 'function',
        function: {
          name: 'get_weather',
          description: 'The weather at a place',
          parameters: {
            type: 'object',
            properties: {city: {type: 'string'}, unit: {enum: ['c', 'f']}},
            required: ['city'],
          },
        },
      },
    ],
    temperature: 0.7,
    stream: true,
  }),
);

const event = Buffer.from(
  `data: ${JSON.stringify({
    id: 'chatcmpl-8f7ab1c2d3e4',
    object: 'chat.completion.chunk',
    created: 1_735_689_600,
    model: 'qwen2.5-7b-instruct',
    choices: [{index: 0, delta: {content: ' lighthouse'}, logprobs: null, finish_reason: null}],
  })}\n\n`,
);
const eightEvents = Buffer.concat(Array.from({length: 8}, () => event));

const allocate = (length: number): Buffer => Buffer.allocUnsafe(length);

const carry = ({chat, readRequest, writeBody}: Wire, body: Buffer): number =>
  writeBody(readRequest(chat, body), {model: 'gpt-4.1-mini', askForUsage: true}, allocate).length;

/** Each returns a number, so that nothing of it is optimised away. */
function operationsOf(wire: Wire): Record<string, () => number> {
  const prompts = {'2 KB': promptOf(1_750), '100 KB': promptOf(100_000), '1 MB': promptOf(1_000_000)};
  const plainPrompt = promptOf(1_750, 'The quiet river remembers the golden garden. ');
  const codePrompt = promptOf(1_000_000, code);
  const splitter = wire.createSseSplitter();
  const reader = wire.chat.createStreamReader(1);
  const readAll = (chunk: Buffer): number => {
    let content = 0;
    for (const each of splitter.push(chunk)) if (reader.read(each).kind === 'Content') content += 1;
    return content;
  };
  return {
    'request 2 KB, one long message': () => carry(wire, prompts['2 KB']),
    'request 2 KB, no quotes in it': () => carry(wire, plainPrompt),
    'request 2 KB, 12 messages and a tool': () => carry(wire, conversation),
    'request 2 KB, read only': () => wire.readRequest(wire.chat, prompts['2 KB']).model.length,
    'request 100 KB': () => carry(wire, prompts['100 KB']),
    'request 1 MB': () => carry(wire, prompts['1 MB']),
    'request 1 MB, quotes all over': () => carry(wire, codePrompt),
    'event of 200 B, split only': () => splitter.push(event).length,
    'event of 200 B, split and read': () => readAll(event),
    'chunk of 8 events, split and read': () => readAll(eightEvents),
  };
}

function measure(operation: () => number): number {
  let done = 0;
  let sink = 0;
  const started = process.cpuUsage();
  const end = performance.now() + roundMs;
  do {
    for (let index = 0; index < 16; index += 1) sink += operation();
    done += 16;
  } while (performance.now() < end);
  const {user, system} = process.cpuUsage(started);
  if (sink === 0) throw new Error('bug: the operation does nothing');
  return (user + system) / done;
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

const checkouts = ['.', ...process.argv.slice(2)];
const variants = await Promise.all(checkouts.map(async (checkout) => operationsOf(await load(checkout))));
const names = Object.keys(variants[0] ?? {});
const results = variants.map(() => new Map(names.map((name) => [name, [] as number[]])));

function measureAll(name: string): void {
  for (const [index, variant] of variants.entries()) {
    const operation = variant[name];
    if (operation !== undefined) results[index]?.get(name)?.push(measure(operation));
  }
}

for (let round = 0; round < rounds; round += 1) for (const name of names) measureAll(name);
console.log(['µs'.padEnd(40), ...checkouts.map((checkout) => checkout.slice(-16).padStart(16))].join(''));
for (const name of names) {
  const medians = results.map((result) =>
    median(result.get(name) ?? [])
      .toFixed(2)
      .padStart(16),
  );
  console.log([name.padEnd(40), ...medians].join(''));
}
