/** The ceiling of this design. */
import {join} from 'node:path';
import {noHeaders, type PeerKind} from './peer.ts';

export const relay: PeerKind = {
  name: 'relay',
  isNode: true,
  missing: () => undefined,
  command: ({port, upstreamPort}) => ({
    file: process.execPath,
    args: [join(import.meta.dirname, '../relay.ts'), String(port), `http://127.0.0.1:${upstreamPort}`],
  }),
  headers: noHeaders,
};
