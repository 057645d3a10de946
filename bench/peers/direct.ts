/** Nothing in between: what load and upstream take themselves. */
import {noHeaders, type PeerKind} from './peer.ts';

export const direct: PeerKind = {
  name: 'direct',
  isNode: false,
  missing: () => undefined,
  command: () => undefined,
  headers: noHeaders,
};
