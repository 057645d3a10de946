import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import {gatewayConfig, hashOf} from '../../test/cluster-objects.ts';
import {boot, type Folders} from './boot.ts';

const gateway = {namespace: 'team-a', name: 'models'};
const textOf = (generation: number): string =>
  JSON.stringify(gatewayConfig({gateway: {...gatewayConfig().gateway, generation}}));
const good = gzipSync(textOf(1));

let root: string;
let folders: Folders;
let log: string[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'modelroute-boot-'));
  folders = {config: join(root, 'config'), credentials: join(root, 'credentials'), state: join(root, 'state')};
  for (const folder of Object.values(folders)) mkdirSync(folder);
  log = [];
});
afterEach(() => rmSync(root, {recursive: true}));

const put = (where: keyof Folders, gzip: Uint8Array): void =>
  writeFileSync(join(folders[where], 'config.json.gz'), gzip);

const start = () => {
  const say = (message: string): void => void log.push(message);
  return boot(folders, gateway, {info: say, warn: say, error: say});
};

describe('the config at boot', () => {
  it('is the mounted one, whatever was saved', () => {
    put('config', gzipSync(textOf(2)));
    put('state', good);
    const {loaded, rejection} = start();
    expect([loaded?.hash, rejection]).toEqual([hashOf(textOf(2)), undefined]);
  });

  it('is the saved one where the mounted one is rejected, which is reported', () => {
    put('config', gzipSync('{'));
    put('state', good);
    const {loaded, rejection} = start();
    expect([loaded?.hash, rejection?.hash]).toEqual([hashOf(textOf(1)), hashOf('{')]);
    expect(log).toContain('mounted config rejected');
  });

  it('is the saved one where none is mounted', () => {
    put('state', good);
    const {loaded, rejection} = start();
    expect([loaded?.hash, rejection?.reason]).toEqual([hashOf(textOf(1)), expect.stringContaining('ENOENT')]);
  });

  it('is none where nothing was saved', () => {
    put('config', gzipSync('{'));
    expect([start().loaded, log]).toEqual([
      undefined,
      ['mounted config rejected', 'mounted credentials cannot be used'],
    ]);
  });

  it.each([
    ['broken', good.subarray(0, 20)],
    [
      "another gateway's",
      gzipSync(JSON.stringify(gatewayConfig({gateway: {name: 'other', namespace: 'b', generation: 1}}))),
    ],
  ])('is none where the saved one is %s, which is told', (_, gzip) => {
    put('state', gzip);
    const {loaded} = start();
    expect(loaded).toBeUndefined();
    expect(log).toContain('saved config ignored');
  });
});
