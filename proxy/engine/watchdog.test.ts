import {describe, expect, it} from '@jest/globals';
import {createFakeClock} from '../../test/fake-clock.ts';
import {Watchdog} from './watchdog.ts';

function start() {
  const clock = createFakeClock(0);
  const fired: string[] = [];
  return {clock, fired, watchdog: new Watchdog(clock), say: (what: string) => () => void fired.push(what)};
}

describe('the watchdog', () => {
  it('keeps several limits on one timer, and fires each in its time', async () => {
    const {clock, fired, watchdog, say} = start();
    watchdog.set('request', 1_000, say('request'));
    watchdog.set('connect', 100, say('connect'));
    watchdog.set('firstToken', 500, say('firstToken'));
    expect(clock.pending).toBe(1);
    await clock.advance(499);
    expect(fired).toEqual(['connect']);
    await clock.advance(1);
    expect(fired).toEqual(['connect', 'firstToken']);
    await clock.advance(10_000);
    expect(fired).toEqual(['connect', 'firstToken', 'request']);
    expect(clock.pending).toBe(0);
  });

  it('moves a limit later without a new timer', async () => {
    const {clock, fired, watchdog, say} = start();
    watchdog.set('tokenIdle', 100, say('tokenIdle'));
    for (let token = 1; token <= 50; token += 1) {
      await clock.advance(10);
      watchdog.move('tokenIdle', clock.now() + 100);
      expect(clock.pending).toBe(1);
    }
    expect(fired).toEqual([]);
    await clock.advance(99);
    expect(fired).toEqual([]);
    await clock.advance(1);
    expect(fired).toEqual(['tokenIdle']);
  });

  it('does not move a limit that is not set', async () => {
    const {clock, fired, watchdog, say} = start();
    watchdog.set('wait', 10, say('wait'));
    watchdog.clear('wait');
    watchdog.move('wait', 20);
    await clock.advance(100);
    expect(fired).toEqual([]);
  });

  it('forgets the limits of an attempt together, and keeps those of the request', async () => {
    const {clock, fired, watchdog, say} = start();
    for (const limit of ['connect', 'firstToken', 'tokenIdle', 'attempt'] as const) watchdog.set(limit, 10, say(limit));
    watchdog.set('keepAlive', 20, say('keepAlive'));
    watchdog.set('request', 30, say('request'));
    watchdog.clearAttempt();
    await clock.advance(100);
    expect(fired).toEqual(['keepAlive', 'request']);
  });

  it('does not fire what an earlier one of the same moment has cleared or set anew', async () => {
    const {clock, fired, watchdog, say} = start();
    watchdog.set('attempt', 10, () => {
      fired.push('attempt');
      watchdog.clear('connect');
      watchdog.set('firstToken', 10, say('the new firstToken'));
    });
    watchdog.set('connect', 10, say('connect'));
    watchdog.set('firstToken', 10, say('the old firstToken'));
    await clock.advance(10);
    expect(fired).toEqual(['attempt', 'the new firstToken']);
  });

  it('is silent once stopped, whatever is set', async () => {
    const {clock, fired, watchdog, say} = start();
    watchdog.set('request', 10, say('request'));
    watchdog.stop();
    watchdog.set('wait', 20, say('wait'));
    expect(clock.pending).toBe(0);
    await clock.advance(100);
    expect(fired).toEqual([]);
  });

  it('takes a limit that is further away than a timer can be', async () => {
    const {clock, fired, watchdog, say} = start();
    const month = 31 * 24 * 3_600_000;
    watchdog.set('request', month, say('request'));
    await clock.advance(month - 1);
    expect(fired).toEqual([]);
    await clock.advance(1);
    expect(fired).toEqual(['request']);
  });
});
