/** The benchmark is only worth something if it notices what is wrong: each fault is made by a real peer between load and upstream. */
import {execFile, spawn} from 'node:child_process';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync} from 'node:fs';
import {connect, createServer, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {delimiter, join} from 'node:path';
import {promisify} from 'node:util';
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals';
import {treeOf} from '../../bench/cpu.ts';
import {startLoad, type Tally} from '../../bench/load.ts';
import {ours} from '../../bench/peers/ours.ts';
import {judgeAll, trusted, valuesOf} from '../../bench/results.ts';
import {percentile} from '../../bench/statistics.ts';
import {openStreams, type Streams} from '../../bench/streams.ts';
import {startUpstream, type Upstream} from '../../bench/upstream.ts';
import {until} from '../until.ts';

/** Undefined closes the connection. */
type Change = (text: string) => string | undefined;
type FaultyPeer = {port: number; close(): void};

let upstream: Upstream;
const closing: (() => void)[] = [];
beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(() => upstream.close());
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** Passes bytes on; what one side wrote at once comes at once on loopback, so texts can be changed as they come. */
async function startPeer(changes: {request?: Change; answer?: Change; delayMs?: number}): Promise<FaultyPeer> {
  const sockets = new Set<Socket>();
  const pass = (from: Socket, to: Socket, change: Change = (text) => text): void => {
    sockets.add(from);
    from.setNoDelay(true).on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    from.on('data', (bytes) => {
      const changed = change(bytes.toString('latin1'));
      setTimeout(() => (changed === undefined ? to.destroy() : to.write(changed, 'latin1')), changes.delayMs ?? 0);
    });
  };
  const server = createServer((caller) => {
    const backend = connect(upstream.port, '127.0.0.1');
    pass(caller, backend, changes.request);
    pass(backend, caller, changes.answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as {port: number};
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  closing.push(close);
  return {port, close};
}

async function ask(port: number): Promise<Tally> {
  const load = startLoad({port, headers: ''}, {connections: 4, promptBytes: 1_750});
  await until(() => load.tally.answers + load.tally.wrong >= 20, 'twenty answers');
  await load.stop();
  return load.tally;
}

async function stream(port: number): Promise<Streams> {
  const streams = await openStreams({port, headers: ''}, 4, {chunks: 10, perSecond: 200});
  await streams.ended;
  return streams;
}

const replace =
  (pattern: RegExp | string, by: string): Change =>
  (text) =>
    text.replace(pattern, by);
const chunkFrame = (number: number): RegExp => new RegExp(`[0-9a-f]+\r\ndata: [^\n]*"00000${number} [^\n]*\n\n\r\n`);
const longPrompt = (request: string): string =>
  request.replace('The quiet', 'quiet').replace(/content-length: \d+/, shorter);
const shorter = (header: string): string => `content-length: ${Number(header.slice(16)) - 4}`;

describe('plain answers', () => {
  it('that are what the upstream sent count', async () => {
    const tally = await ask(upstream.port);
    expect(tally).toMatchObject({wrong: 0, rewritten: 0});
    expect(tally.answers).toBeGreaterThanOrEqual(20);
  });

  it('that are the same JSON in other words count, and are told apart', async () => {
    const pretty = replace('{"id"', '{ "id"');
    const longer = replace(/content-length: (\d+)/, 'content-length: 1509');
    const length = /content-length: (\d+)/;
    const peer = await startPeer({
      answer: (text) => longer(pretty(text)!)!.replace(/1509/, String(Number(length.exec(text)?.[1]) + 1)),
    });
    const tally = await ask(peer.port);
    expect(tally).toMatchObject({wrong: 0, rewritten: tally.answers});
  });

  it('that never come are wrong', async () => {
    const peer = await startPeer({answer: () => ''});
    const load = startLoad({port: peer.port, headers: ''}, {connections: 2, promptBytes: 1_750});
    await load.stop();
    expect(load.tally).toMatchObject({answers: 0, wrong: 2, firstWrong: 'no answer within 5000 ms'});
  }, 20_000);

  const faults: Record<string, {request?: Change; answer?: Change}> = {
    'with one byte changed': {answer: replace('lantern', 'lanterm')},
    'for another caller': {answer: replace(/chatcmpl-000\d/, 'chatcmpl-0009')},
    'with another status': {answer: replace('200 OK', '500 Oh')},
    'cut in the middle': {answer: (text) => (text.length < 600 ? text : undefined)},
    'to a prompt that came shorter': {request: longPrompt},
    'that are no HTTP': {answer: replace('HTTP/1.1', 'HTTQ/1.1')},
    'that come twice': {answer: (text) => text + text},
  };
  it.each(Object.entries(faults))('%s are wrong', async (_, changes) => {
    const peer = await startPeer(changes);
    const tally = await ask(peer.port);
    expect(tally.wrong).toBeGreaterThan(0);
    expect(tally.firstWrong).toBeDefined();
  });
});

describe('streams', () => {
  it('that come whole count, every chunk of them', async () => {
    const streams = await stream(upstream.port);
    expect(streams.tally).toMatchObject({answers: 4, wrong: 0});
    expect(streams.chunks()).toBe(40);
  });

  it('that a peer holds up show it in every chunk', async () => {
    const peer = await startPeer({delayMs: 30});
    const streams = await stream(peer.port);
    expect(streams.tally.wrong).toBe(0);
    expect(percentile(streams.takeDelays(), 0)).toBeGreaterThanOrEqual(28_000);
  });

  const faults: Record<string, Change> = {
    'without one chunk': replace(chunkFrame(3), ''),
    'with one chunk twice': (text) => text.replace(chunkFrame(3), (frame) => frame + frame),
    'with two chunks in the wrong order': (text) => text.replace('"000003 ', '"000004 '),
    'with one byte changed': replace(
      /bench-upstream(","system_fingerprint":"fp_bench","choices":\[{"index":0,"delta":{"content":"000005)/,
      'bench-upstreem$1',
    ),
    'without their role': replace('"role":"assistant"', '"role":"assistent"'),
    'without their finish': replace('"finish_reason":"stop"', '"finish_reason":null,"a":1'),
    'without [DONE]': replace('e\r\ndata: [DONE]\n\n\r\n', ''),
    'cut in the middle': (text) => (text.includes('"000006 ') ? undefined : text),
    'for another caller': replace(/chatcmpl-000\d/, 'chatcmpl-0009'),
  };
  it.each(Object.entries(faults))('%s are wrong', async (_, answer) => {
    const peer = await startPeer({answer});
    const {tally} = await stream(peer.port);
    expect(tally).toMatchObject({answers: 0, wrong: 4});
    expect(tally.firstWrong).toBeDefined();
  });
});

describe('floors', () => {
  const measured: Record<string, number[]> = {
    'ours plain.cpuUs': [60, 70, 50],
    'relay plain.cpuUs': [40, 40, 40],
    'ours sse.lost': [0, 0, 1],
    'ours aborts.backPercent': [94, 95, 90],
    'ours stops.stopP99Us': [1_999, 1_000, 2_500],
    'ours open.kilobytes': [80, NaN, 90],
    'ours plain.memoryMb': [90, 95, 90],
    'ours one.memoryMb': [70, 70, 70],
    'ours 100KB.memoryMb': [110, 120, 110],
    'ours 1MB.memoryMb': [170, 181, 190],
    'ours sse.memoryMb': [120, 130, 120],
  };
  const verdicts = Object.fromEntries(
    judgeAll((peer, metric) => measured[`${peer} ${metric}`] ?? [NaN, NaN, NaN]).map((floor) => [floor.text, floor]),
  );

  it.each([
    ['plain: CPU per request ≤ 1.8 × the relay', 'met', 1.5],
    ['SSE: no chunk lost', 'not met', 0],
    ['throughput after 1,000 aborts ≥ 95 %', 'not met', 94],
    ['a 1 MB body stops the event loop < 2 ms (p99)', 'met', 1.999],
    ['memory under load ≤ 180 MB', 'not met', 181],
    ['plain: requests per core ≥ 8 × Portkey', 'not measured', undefined],
    ['memory per stream at 1,000 ≤ 120 KB', 'not measured', undefined],
  ])('%s: %s', (text, verdict, median) => {
    expect(verdicts[text]?.verdict).toBe(verdict);
    expect(verdicts[text]?.measured?.median).toBe(median);
  });
});

it('a floor that every round has to hold is missed by one, and not met where one is missing', () => {
  const verdictOf = (lost: number[]): string | undefined =>
    judgeAll((peer, metric) => (`${peer} ${metric}` === 'ours sse.lost' ? lost : [NaN, NaN])).find(
      ({text}) => text === 'SSE: no chunk lost',
    )?.verdict;
  expect([verdictOf([0, 0]), verdictOf([NaN, 2]), verdictOf([0, NaN])]).toEqual(['met', 'not met', 'not measured']);
});

it('a round with a wrong answer counts for no floor, but its lost chunks do', () => {
  const round = {peer: 'ours', scenario: 'sse', rewritten: 0, firstWrong: undefined};
  const values = valuesOf(
    trusted([
      {...round, round: 0, wrong: 0, metrics: {cpuUs: 20, lost: 0}},
      {...round, round: 1, wrong: 1, metrics: {cpuUs: 1, lost: 3}},
    ]),
    2,
  );
  expect(values('ours', 'sse.cpuUs')).toEqual([20, NaN]);
  expect(values('ours', 'sse.lost')).toEqual([0, 3]);
});

describe('make bench', () => {
  const root = join(import.meta.dirname, '../..');
  const main = join(root, 'bench/main.ts');
  const folder = mkdtempSync(join(tmpdir(), 'modelroute-bench-test-'));
  afterAll(() => rmSync(folder, {recursive: true}));

  it('measures, says which floors it cannot judge, and writes JSON and the table', async () => {
    const [json, results] = [join(folder, 'bench.json'), join(folder, 'RESULTS.md')];
    writeFileSync(results, '# Mine\n\n<!-- make bench: begin -->\n\nold\n\n<!-- make bench: end -->\n\nMy words.\n');
    const flags = ['--anyway', '--peers', 'direct,relay', '--only', 'plain', '--rounds', '1', '--seconds', '1'];
    const {stdout} = await promisify(execFile)(process.execPath, [
      main,
      ...flags,
      '--json',
      json,
      '--results',
      results,
    ]);
    expect(stdout).toMatch(/plain: requests per core ≥ 8 × Portkey.*not measured/);
    const {measured} = JSON.parse(readFileSync(json, 'utf8')) as {
      measured: {peer: string; wrong: number; metrics: Record<string, number>}[];
    };
    expect(measured.map(({peer, wrong}) => [peer, wrong])).toEqual([
      ['direct', 0],
      ['relay', 0],
    ]);
    expect(measured[1]?.metrics['cpuUs']).toBeGreaterThan(0);
    const written = readFileSync(results, 'utf8');
    expect(written).toMatch(/^# Mine\n[^]*\| plain: CPU per request, µs +\| [^]*\nMy words\.\n$/);
    expect(written).not.toContain('old');
  }, 60_000);

  it('measures ModelRoute as it has been built, under the Node that runs the benchmark', async () => {
    const run = promisify(execFile);
    await run('npm', ['run', '--silent', 'prepare'], {cwd: root});
    const json = join(folder, 'ours.json');
    const flags = ['--anyway', '--peers', 'ours', '--only', 'plain', '--rounds', '1', '--seconds', '1'];
    const other = join(folder, 'node'); // another Node, which the command's first line must not find
    writeFileSync(other, '#!/bin/sh\nexit 1\n', {mode: 0o755});
    const env = {...process.env, PATH: [folder, process.env['PATH']].join(delimiter)};
    const {stdout} = await run(process.execPath, [main, ...flags, '--json', json], {env});
    expect(stdout).toContain("`make bench BENCH='--anyway --peers ours --only plain ");
    const {measured, skipped} = JSON.parse(readFileSync(json, 'utf8')) as {
      measured: {peer: string; wrong: number; firstWrong?: string; metrics: Record<string, number>}[];
      skipped: string[];
    };
    expect(skipped).toEqual([]);
    expect(measured).toEqual([expect.objectContaining({peer: 'ours', wrong: 0})]);
    expect(measured[0]?.metrics['memoryMb']).toBeGreaterThan(0);
  }, 120_000);

  it('does not measure what is older than its sources', async () => {
    const checkout = join(folder, 'checkout');
    for (const name of ['cli', 'operator', 'proxy', 'simulator', 'dist/cli', 'node_modules'])
      mkdirSync(join(checkout, name), {recursive: true});
    writeFileSync(join(checkout, 'dist/cli/main.js'), '');
    writeFileSync(join(checkout, 'proxy/main.ts'), '');
    utimesSync(join(checkout, 'proxy/main.ts'), 0, 0);
    const kind = ours('before', checkout);
    expect(kind.missing()).toBeUndefined();
    const later = Date.now() / 1_000 + 60;
    utimesSync(join(checkout, 'proxy/main.ts'), later, later);
    expect(kind.missing()).toMatch(/main\.js is older than its sources: run make build there$/);
  });

  it('refuses a busy machine and names who is busy', async () => {
    const busy = spawn(process.execPath, ['-e', 'for (;;);'], {stdio: 'ignore'});
    try {
      const run = promisify(execFile)(process.execPath, [main, '--peers', 'direct', '--only', 'plain']);
      await expect(run).rejects.toMatchObject({code: 1, stderr: expect.stringContaining(`(${busy.pid})`)});
    } finally {
      busy.kill('SIGKILL');
    }
  }, 60_000);

  it('says which scenarios there are when it is asked for another', async () => {
    const run = promisify(execFile)(process.execPath, [main, '--only', 'plane']);
    await expect(run).rejects.toMatchObject({
      stderr: expect.stringContaining('there is no "plane", only plain, one, '),
    });
  });

  it('takes what it has started with it when it is interrupted', async () => {
    const json = join(folder, 'unwritten.json');
    const bench = spawn(process.execPath, [main, '--anyway', '--peers', 'relay', '--only', 'plain', '--json', json]);
    const exited = new Promise<number | null>((resolve) => bench.on('exit', resolve));
    try {
      let pids: number[] = [];
      const started = (): boolean => (pids = treeOf(bench.pid!).map(({pid}) => pid)).length === 3;
      await until(started, 'the upstream and the relay to run', 30_000);
      bench.kill('SIGINT');
      expect(await exited).toBe(130);
      await until(() => pids.every((pid) => treeOf(pid).length === 0), 'all of them to have gone');
    } finally {
      bench.kill('SIGKILL');
    }
  }, 60_000);
});
