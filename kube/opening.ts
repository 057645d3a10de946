/** Sends requests with what credentials there are, and reads them anew once they are refused. */
import type {Call} from './call.ts';
import type {Clock} from './clock.ts';
import {createCredentialSource, type Credentials, type KubeConfig} from './credentials.ts';
import {createDispatchers, type Purpose} from './dispatchers.ts';
import {BrokenExchange, startExchange, type Exchange, type Head} from './exchange.ts';
import {writeRequest, type KubeRequest} from './request.ts';
import type {Failure} from './retry.ts';

/** An answer has begun. */
export type Opened = {head: Head; chunks: Exchange['chunks']; token: string | undefined};

/** True, once, if credentials were refused and have been read anew, so that trying at once may help. */
export type Renewal = (failure: Failure) => Promise<boolean>;

export type Opening = {
  /** Throws {@link BrokenExchange}, or the reason of the call's signal. */
  open(call: Call, request: KubeRequest, purpose: Purpose): Promise<Opened>;
  /** One for each call. */
  createRenewal(): Renewal;
  close(): Promise<void>;
};

const urlOf = (server: string): URL => {
  const url = URL.parse(server);
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new Error(`server is no URL of an API server: ${server}`);
  return url;
};

/** Throws an Error if the config cannot be used. */
export function createOpening(config: KubeConfig, clock: Pick<Clock, 'now'>): Opening {
  const {origin, pathname} = urlOf(config.server);
  const prefix = pathname.replace(/\/+$/, '');
  const source = config.source ?? createCredentialSource(config, clock);
  const dispatchers = createDispatchers(origin, config);

  const start = (call: Call, request: KubeRequest, purpose: Purpose, credentials: Credentials): Exchange => {
    const written = writeRequest(request, prefix, credentials.token);
    const options = {...written, reset: false}; // or a DELETE with a body would cost the connection
    return startExchange(dispatchers.get(credentials, purpose), options, call.signal);
  };

  return {
    async open(call, request, purpose) {
      const credentials = await source.current().catch((cause: Error) => {
        throw new BrokenExchange(cause, 'connecting');
      });
      const {head, chunks} = start(call, request, purpose, credentials);
      return {head: await head, chunks, token: credentials.token};
    },
    createRenewal() {
      let used = false;
      return async ({error, fault}) => {
        if (used || !(error.status === 401 || fault === 'distrusted')) return false;
        used = true;
        return source.renew();
      };
    },
    close: () => dispatchers.close(),
  };
}
