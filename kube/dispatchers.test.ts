import {describe, expect, it} from '@jest/globals';
import {createDispatchers} from './dispatchers.ts';

const before = {token: undefined, ca: undefined, clientCert: undefined, clientKey: undefined};
const after = {...before, ca: '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----'};

describe('dispatchers', () => {
  it('are made anew when the certificates change', async () => {
    const dispatchers = createDispatchers('http://127.0.0.1:1');
    const old = dispatchers.get(before, 'watch');
    expect(dispatchers.get(before, 'watch')).toBe(old);
    expect(dispatchers.get(after, 'watch')).not.toBe(old);
    expect(old.closed).toBe(true);
    await dispatchers.close();
  });

  it('that are closed stay so when the certificates change: closing them once more would be an unhandled rejection', async () => {
    const dispatchers = createDispatchers('http://127.0.0.1:1');
    const old = dispatchers.get(before, 'watch');
    await dispatchers.close();
    expect(dispatchers.get(after, 'watch')).toBe(old);
    expect(old.destroyed).toBe(true);
  });
});
