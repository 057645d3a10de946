/** An answer that comes line by line for as long as the server likes: a watch. */
import {begun, parseJson} from './answer.ts';
import type {Call} from './call.ts';
import {KubeError} from './errors.ts';
import {failureOf} from './failure.ts';
import {LineTooLong, linesOf} from './lines.ts';
import type {Opened, Opening} from './opening.ts';
import type {KubeRequest} from './request.ts';

/** An object in etcd has at most 1.5 MiB; what the API server adds to it is far less than the rest. */
const maxLineBytes = 16 * 1_048_576;

async function openStream(call: Call, opening: Opening, request: KubeRequest): Promise<Opened> {
  const renewed = opening.createRenewal();
  for (;;) {
    const outcome = await begun(call, opening.open(call, request, 'watch'));
    if ('opened' in outcome) return outcome.opened;
    if (!(await renewed(outcome))) throw outcome.error;
  }
}

async function* readLines(call: Call, opening: Opening, request: KubeRequest): AsyncGenerator<unknown, void> {
  const {where} = call;
  try {
    const {chunks} = await openStream(call, opening, request);
    call.lift();
    for await (const line of linesOf(chunks, maxLineBytes)) {
      call.signal.throwIfAborted(); // lines that came before that may still wait
      yield parseJson(line, `${where}: a line is not JSON`);
    }
  } catch (error) {
    throw error instanceof LineTooLong ? new KubeError(`${where}: ${error.message}`) : failureOf(where, error).error;
  }
}

/**
 * The lines, parsed; nothing is sent before the first is asked for. `begin` starts the call that it is, with a deadline for its beginning, `end` is told when it is over. A
 * generator alone would not do: its `return` waits for the `next` that waits for the server.
 */
export function streamLines(
  opening: Opening,
  request: KubeRequest,
  begin: () => Call,
  end: (call: Call) => void,
): AsyncIterator<unknown, void> {
  let call: Call | undefined;
  let left = false;

  async function* run(): AsyncGenerator<unknown, void> {
    call = begin();
    try {
      yield* readLines(call, opening, request);
    } catch (error) {
      if (!left) throw error;
    } finally {
      end(call);
    }
  }
  const lines = run();

  return {
    next: () => lines.next(),
    async return() {
      left = true;
      call?.abort('left');
      await lines.return();
      return {done: true, value: undefined};
    },
  };
}
