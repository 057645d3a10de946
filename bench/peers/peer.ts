/** What is measured: a way from the load to the upstream. */
import {homedir} from 'node:os';
import {join} from 'node:path';
import type {Command} from '../children.ts';

export type Place = {port: number; upstreamPort: number; /** For its configuration. */ folder: string};

export type PeerKind = {
  name: string;
  /** Why it cannot be had here, and what would help. */
  missing(): string | undefined;
  /** Undefined: there is nothing between load and upstream. */
  command(place: Place): Command | undefined;
  /** Header lines that it wants in a request. */
  headers(place: Place): string;
  /** A Node process, whose event loop can be watched from inside. */
  isNode: boolean;
};

/** Where peers that are no packages of this machine are unpacked by hand. */
export const cache = process.env['MODELROUTE_BENCH_CACHE'] ?? join(homedir(), '.cache/modelroute-bench');

export const noHeaders = (): string => '';
