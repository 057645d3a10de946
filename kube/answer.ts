/** What an answer says. */
import type {Call} from './call.ts';
import {KubeError, kubeErrorOfAnswer, retryAfterMsOf} from './errors.ts';
import {failureOf} from './failure.ts';
import {jsonIn} from './json.ts';
import type {Opened} from './opening.ts';
import type {Failure} from './retry.ts';

const maxErrorBytes = 1_048_576;

async function readText({chunks}: Opened, maxBytes: number, where: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new KubeError(`${where}: the answer is larger than ${maxBytes} bytes`);
    parts.push(chunk);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Throws a KubeError with the words of `fault`. */
export function parseJson(text: string, fault: string): unknown {
  const value = jsonIn(text);
  if (value === undefined) throw new KubeError(fault);
  return value;
}

async function refusalOf(opened: Opened, where: string): Promise<Failure> {
  const {head, token} = opened;
  const text = await readText(opened, maxErrorBytes, where);
  const said = token === undefined ? text : text.replaceAll(token, '…'); // what stands in between may repeat what it was asked
  const error = kubeErrorOfAnswer(where, head.status, said, retryAfterMsOf(head.headers['retry-after']));
  return {error, fault: 'answered'};
}

/** An answer that has begun well, or why there is none. */
export async function begun(call: Call, opening: Promise<Opened>): Promise<{opened: Opened} | Failure> {
  try {
    const opened = await opening;
    const {status} = opened.head;
    return status >= 200 && status <= 299 ? {opened} : await refusalOf(opened, call.where);
  } catch (error) {
    return failureOf(call.where, error);
  }
}

/** The whole answer, parsed. */
export async function whole({where}: Call, opened: Opened, maxBytes: number): Promise<{answer: unknown} | Failure> {
  try {
    const text = await readText(opened, maxBytes, where);
    return {answer: parseJson(text, `${where}: the answer is not JSON`)};
  } catch (error) {
    return failureOf(where, error);
  }
}
