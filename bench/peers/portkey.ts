/** Portkey, the Node gateway that people use. */
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {cache, type PeerKind} from './peer.ts';

const home = join(cache, 'portkey');
const script = join(home, 'node_modules/@portkey-ai/gateway/build/start-server.js');

export const portkey: PeerKind = {
  name: 'portkey',
  isNode: true,
  // with a newer @hono/node-server it answers 500 to every stream
  missing: () =>
    existsSync(script)
      ? undefined
      : `no Portkey: mkdir -p ${home} && cd ${home} && npm init -y && npm pkg set overrides.@hono/node-server=1.13.5 && npm install --ignore-scripts @portkey-ai/gateway@1.15.2`,
  command: ({port}) => ({file: process.execPath, args: [script, `--port=${port}`, '--headless']}),
  headers: ({upstreamPort}) =>
    `x-portkey-provider: openai\r\nx-portkey-custom-host: http://127.0.0.1:${upstreamPort}/v1\r\nauthorization: Bearer bench\r\n`,
};
