/** Asks one proxy what it has loaded. */
import {isIPv6} from 'node:net';
import type {Agent} from 'undici';
import type {Clock} from '../../kube/clock.ts';
import {startExchange, type Exchange} from '../../kube/exchange.ts';
import type {LoadedReport} from '../plan/fleet.ts';
import {parseLoadedReport} from './loaded-report.ts';

export type Asking = {agent: Agent; clock: Clock; port: number};

const deadlineMs = 2_000;
const maxAnswerBytes = 1_048_576;

async function readText({head, chunks}: Exchange): Promise<string | undefined> {
  const {status} = await head;
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxAnswerBytes) return undefined;
    parts.push(chunk);
  }
  return status === 200 ? Buffer.concat(parts).toString('utf8') : undefined; // a redirect is somebody else's answer
}

/** Undefined if it does not answer as a proxy does, in time. Never rejects. */
export async function askLoaded(
  address: string,
  {agent, clock, port}: Asking,
  signal: AbortSignal,
): Promise<LoadedReport | undefined> {
  const controller = new AbortController();
  const leave = (): void => controller.abort();
  const deadline = clock.after(deadlineMs, leave);
  signal.addEventListener('abort', leave);
  try {
    const origin = `http://${isIPv6(address) ? `[${address}]` : address}:${port}`;
    const request = {origin, method: 'GET', path: '/loaded', headers: {accept: 'application/json'}};
    const text = await readText(startExchange(agent, request, controller.signal));
    return text === undefined ? undefined : parseLoadedReport(address, text);
  } catch {
    return undefined; // why does not matter: a pod that comes or goes refuses, resets or is silent
  } finally {
    deadline.cancel();
    signal.removeEventListener('abort', leave);
    leave(); // what still comes is not read
  }
}
