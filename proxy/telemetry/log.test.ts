import {describe, expect, it} from '@jest/globals';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {PassThrough} from 'node:stream';
import {until} from '../../test/until.ts';
import {createLog, type Log} from './log.ts';

type Started = {log: Log; writes: string[]; lines: () => string[]};

function start(terminal = false): Started {
  const stream = new PassThrough();
  const writes: string[] = [];
  stream.on('data', (chunk: Buffer) => writes.push(chunk.toString()));
  return {log: createLog(stream, terminal), writes, lines: () => writes.join('').split('\n').slice(0, -1)};
}

describe('the log', () => {
  it('is one object of JSON per line: time, level, message, and the fields that are known', async () => {
    const {log, lines} = start();
    log.warn('breaker changed', {route: 'team-a/chat', state: 'Open', missing: undefined, list: ['a', 1]});
    log.error('request failed');
    log.flush();
    await nextTurn();
    expect(lines()).toHaveLength(2);
    expect(JSON.parse(lines()[0]!)).toEqual({
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      level: 'warn',
      message: 'breaker changed',
      route: 'team-a/chat',
      state: 'Open',
      list: ['a', 1],
    });
    expect(JSON.parse(lines()[1]!)).toMatchObject({level: 'error', message: 'request failed'});
  });

  it('writes lines that come together at once, in their order, and without being asked', async () => {
    const {log, writes, lines} = start();
    for (let nth = 0; nth < 100; nth += 1) log.info(`line ${nth}`);
    expect(writes).toEqual([]);
    await until(() => writes.length > 0, 'a write');
    expect(lines()).toHaveLength(100);
    log.info('line 100');
    await until(() => writes.length > 1, 'another write');
    expect(writes).toHaveLength(2);
    expect(lines().map((line) => (JSON.parse(line) as {message: string}).message)).toEqual(
      Array.from({length: 101}, (_, nth) => `line ${nth}`),
    );
  });

  it('has fields as they were when they were told', async () => {
    const {log, lines} = start();
    const fields = {failures: ['first']};
    log.info('request', fields);
    fields.failures.push('later');
    log.flush();
    await nextTurn();
    expect(JSON.parse(lines()[0]!)).toMatchObject({failures: ['first']});
  });

  it('can be flushed, and then says nothing twice', async () => {
    const {log, lines} = start();
    log.info('last words');
    log.flush();
    await nextTurn();
    log.flush();
    await nextTurn();
    expect(lines()).toHaveLength(1);
  });

  it('keeps what is below its level to itself', async () => {
    const {log, lines} = start();
    expect([log.writes('info'), log.writes('debug')]).toEqual([true, false]);
    log.debug('too much');
    log.setLevel('warn');
    expect([log.writes('warn'), log.writes('info')]).toEqual([true, false]);
    log.info('too much as well');
    log.setLevel('debug');
    log.debug('wanted');
    log.flush();
    await nextTurn();
    expect(lines().map((line) => (JSON.parse(line) as {message: string}).message)).toEqual(['wanted']);
  });

  it('is readable on a terminal, which nothing in it can steer', async () => {
    const {log, lines} = start(true);
    log.info('request', {model: 'chat', path: '/\u001b[2J\u009b2J"', missing: undefined, attempts: 2});
    log.flush();
    await nextTurn();
    expect(lines()[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} /);
    expect(lines()[0]?.slice('00:00:00.000 '.length)).toBe(
      String.raw`INFO request model=chat path="/\u001b[2J\u009b2J\"" attempts=2`.replace(
        'INFO',
        '\u001b[32minfo\u001b[39m',
      ),
    );
  });
});
