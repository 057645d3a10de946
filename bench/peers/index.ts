import {join} from 'node:path';
import {direct} from './direct.ts';
import {envoy} from './envoy.ts';
import {nginx} from './nginx.ts';
import {ours} from './ours.ts';
import type {PeerKind} from './peer.ts';
import {portkey} from './portkey.ts';
import {relay} from './relay.ts';

/** In the order of the table. `before`: another checkout, measured beside this one. */
export const peersWith = (before: string | undefined): PeerKind[] => [
  direct,
  nginx,
  envoy,
  portkey,
  relay,
  ...(before === undefined ? [] : [ours('before', before)]),
  ours('ours', join(import.meta.dirname, '../..')),
];
