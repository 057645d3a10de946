import {mkdtempSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import {createFakeClock} from '../test/fake-clock.ts';
import {createCa} from '../test/proxy/certificates.ts';
import {createCredentialSource, inClusterConfig} from './credentials.ts';

const ca = createCa('One').cert.trim();
const otherCa = createCa('Two').cert.trim();

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'modelroute-credentials-'));
});
afterEach(() => rmSync(folder, {recursive: true}));

const file = (name: string): string => join(folder, name);
/** As the kubelet does it: another file takes the place of the old one. */
const replace = (name: string, text: string): void => {
  writeFileSync(file(`${name}.new`), text);
  renameSync(file(`${name}.new`), file(name));
};

const environment = {KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443'};
const server = 'https://10.0.0.1:443';

describe('in a pod', () => {
  beforeEach(() => {
    replace('token', 'one');
    replace('ca.crt', ca);
  });

  it.each([
    ['10.0.0.1', 'https://10.0.0.1:443'],
    ['fd00::1', 'https://[fd00::1]:443'],
    ['kubernetes.default.svc', 'https://kubernetes.default.svc:443'],
  ])('with the host %s the server is %s', (host, expected) => {
    expect(inClusterConfig({...environment, KUBERNETES_SERVICE_HOST: host}, folder)).toEqual({
      server: expected,
      tokenFile: file('token'),
      caFile: file('ca.crt'),
    });
  });

  it.each(['KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT'])('names %s if it is missing or empty', (name) => {
    for (const value of [undefined, ''])
      expect(() => inClusterConfig({...environment, [name]: value}, folder)).toThrow(`${name} is not set`);
  });

  it.each(['token', 'ca.crt'])('names the file %s if it is missing', (name) => {
    rmSync(file(name));
    expect(() => inClusterConfig(environment, folder)).toThrow(`${file(name)} does not exist`);
  });
});

describe('credentials from files', () => {
  it('are read anew when they have changed, looked for every 5 s', async () => {
    replace('token', 'one\n');
    replace('ca', ca);
    const clock = createFakeClock();
    const source = createCredentialSource({server, tokenFile: file('token'), caFile: file('ca')}, clock);
    expect(await source.current()).toEqual({token: 'one', ca});
    replace('token', 'two');
    replace('ca', otherCa);
    await clock.advance(4_999);
    expect(await source.current()).toEqual({token: 'one', ca});
    await clock.advance(1);
    expect(await source.current()).toEqual({token: 'two', ca: otherCa});
  });

  it('are read at once when they were refused', async () => {
    replace('token', 'one');
    const source = createCredentialSource({server, tokenFile: file('token')}, createFakeClock());
    expect(await source.current()).toMatchObject({token: 'one'});
    replace('token', 'two');
    expect(await source.renew()).toBe(true);
    expect(await source.current()).toMatchObject({token: 'two'});
  });

  it.each([
    ['missing', 'token', undefined],
    ['empty', 'token', '\n'],
    ['no header could hold', 'token', 'on\u0001e'],
    ['missing', 'ca', undefined],
    ['empty', 'ca', ''],
    ['half written', 'ca', ca.slice(0, 200)],
  ] as const)('keep the last good one while one is %s (%s)', async (_what, name, text) => {
    replace('token', 'one');
    replace('ca', ca);
    const clock = createFakeClock();
    const source = createCredentialSource({server, tokenFile: file('token'), caFile: file('ca')}, clock);
    await source.current();
    if (text === undefined) rmSync(file(name));
    else replace(name, text);
    await source.renew();
    expect(await source.current()).toEqual({token: 'one', ca});
    replace('token', 'two');
    replace('ca', otherCa);
    await clock.advance(5_000);
    expect(await source.current()).toEqual({token: 'two', ca: otherCa});
  });

  it('are waited for if there was never one', async () => {
    const source = createCredentialSource({server, tokenFile: file('token')}, createFakeClock());
    await expect(source.current()).rejects.toThrow(
      `cannot read credentials: ENOENT: no such file or directory, stat '${file('token')}'`,
    );
    replace('token', '');
    await expect(source.current()).rejects.toThrow(`${file('token')} holds no token`);
    replace('token', 'one');
    expect(await source.current()).toMatchObject({token: 'one'});
  });

  it('are read once by many at a time', async () => {
    replace('token', 'one');
    const source = createCredentialSource({server, tokenFile: file('token')}, createFakeClock());
    const found = await Promise.all(Array.from({length: 20}, () => source.current()));
    expect(new Set(found.map(({token}) => token))).toEqual(new Set(['one']));
  });
});

describe('credentials from the config', () => {
  it('are what they are, and cannot be read anew', async () => {
    const source = createCredentialSource({server, token: ' one\n', ca}, createFakeClock());
    expect(await source.current()).toEqual({token: 'one', ca});
    expect(await source.renew()).toBe(false);
  });

  it.each([
    [{ca: 'x'}, 'ca holds no certificate in PEM'],
    [{token: ''}, 'token holds no token'],
    [{token: 'a\nb'}, 'token holds no token'],
    [{clientCert: 'x', clientKey: 'y'}, /PEM|no start line/],
  ])('are refused at once if they cannot be used: %j', (parts, message) => {
    expect(() => createCredentialSource({server, ...parts}, createFakeClock())).toThrow(message);
  });
});
