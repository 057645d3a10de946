/**
 * Browsers let any page send forms and open WebSockets to any host, a proxy on its reader's own machine among them, without asking that
 * host first. A JSON body they ask for, and are refused.
 */
import type {IncomingHttpHeaders} from 'node:http';
import {RequestError} from '../wire/errors.ts';

/** Without its port: the pages of a machine are one site to a browser too. Undefined: none, or none that can be read. */
function hostOf(url: string): string | undefined {
  try {
    return new URL(url).hostname;
  } catch {
    return undefined;
  }
}

const isCrossSite = ({origin, host = '', ...headers}: IncomingHttpHeaders): boolean =>
  headers['sec-fetch-site'] === 'cross-site' ||
  (origin !== undefined && (hostOf(origin) === undefined || hostOf(origin) !== hostOf(`http://${host}`)));

/** Throws {@link RequestError}: cross_site. */
export function refuseCrossSite(headers: IncomingHttpHeaders): void {
  if (isCrossSite(headers))
    throw new RequestError(
      'cross_site',
      'A page of another site ("origin", "sec-fetch-site") may not call this: call it from a page of the same host, or from a server.',
    );
}
