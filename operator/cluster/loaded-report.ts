/** What a proxy answers on /loaded, as far as the operator reads it. Pure. */
import {z} from 'zod';
import {jsonIn} from '../../kube/json.ts';
import type {LoadedReport} from '../plan/fleet.ts';

/** It becomes part of a condition's message, of which the API server takes 32 KB. */
const longestReason = 1_000;

const answer = z.object({
  hash: z.string(),
  rejected: z.object({hash: z.string(), reason: z.string()}).nullish(),
  missingCredentials: z.array(z.string()).default([]),
});

/** Undefined if it is no such answer. Unknown fields are a newer release's. */
export function parseLoadedReport(address: string, text: string): LoadedReport | undefined {
  const {data} = answer.safeParse(jsonIn(text));
  if (data === undefined) return undefined;
  const {hash, rejected, missingCredentials} = data;
  return {
    address,
    hash,
    ...(rejected != null && {rejected: {hash: rejected.hash, reason: rejected.reason.slice(0, longestReason)}}),
    missingCredentials: missingCredentials.toSorted(),
  };
}
