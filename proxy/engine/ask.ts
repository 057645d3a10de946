/** Asks one endpoint in JSON: with a body written for it, and once more at no cost where the first reply says nothing of the backend. */
import {mustAskForUsage, writeBody} from '../wire/request.ts';
import {attempt, type Send} from './attempt.ts';
import type {Attempt, Loan} from './loan.ts';
import type {Settled} from './receiver.ts';
import type {Trip} from './trip.ts';
import {send} from './upstream.ts';

/** Not zeroed first: every byte of it is written. */
const allocate = (length: number): Buffer => Buffer.allocUnsafe(length);

type Asking = {trip: Trip; loan: Loan; asksForUsage: boolean; fresh: boolean};

const sendTo =
  ({trip, loan, asksForUsage, fresh}: Asking): Send =>
  (handler) => {
    const {request, headers} = trip.call;
    const {backend, endpoint} = loan;
    const asked = {
      method: request.method,
      path: request.api.pathAt(backend.basePath),
      headers: [...headers, ...backend.authHeaders],
      body: writeBody(request, {model: backend.config.model, askForUsage: asksForUsage}, allocate),
    };
    return send(endpoint.connections, asked, fresh, handler);
  };

async function askOnce(trip: Trip, loan: Loan, asksForUsage: boolean): Promise<Settled> {
  const {carriedOnce} = trip.call.request; // then on a connection that cannot have gone stale
  const settled = await attempt(trip, loan, sendTo({trip, loan, asksForUsage, fresh: carriedOnce}));
  if (settled.type !== 'StaleConnection') return settled;
  return attempt(trip, loan, sendTo({trip, loan, asksForUsage, fresh: true}));
}

/** A refusal that our `stream_options` may be the reason of. */
const mayBlameStreamOptions = (settled: Settled): boolean =>
  settled.type === 'Failed' &&
  settled.failure.verdict?.fault === 'Caller' &&
  settled.failure.error?.contentFiltered === false &&
  (settled.failure.reply?.status === 400 || settled.failure.reply?.status === 422);

async function askForUsage(trip: Trip, loan: Loan): Promise<Settled> {
  const settled = await askOnce(trip, loan, true);
  if (!mayBlameStreamOptions(settled) || trip.call.interrupted !== undefined) return settled;
  const answers = (): void => {
    loan.backend.state.refusesStreamOptions = true; // only now: a second refusal, or a failure, does not say that they were the reason
    loan.answers();
  };
  return askOnce(trip, {...loan, answers}, false);
}

export const ask: Attempt = (trip, loan) =>
  mustAskForUsage(trip.call.request) && !loan.backend.state.refusesStreamOptions
    ? askForUsage(trip, loan)
    : askOnce(trip, loan, false);
