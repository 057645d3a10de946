/** Credentials as client-node finds them for the user of a kubeconfig: asked for again when they have been refused. */
import type {RequestOptions} from 'node:https';
import type {KubeConfig as Kubeconfig} from '@kubernetes/client-node';
import type {Clock} from '../../kube/clock.ts';
import {isCertificate, isToken, type Credentials, type CredentialSource} from '../../kube/credentials.ts';

export type KubeconfigSourceOptions = {
  loaded: Kubeconfig;
  /** Reads it anew: client-node keeps what a command has said until that expires, refused or not. */
  load: () => Kubeconfig;
  clock: Pick<Clock, 'now'>;
};

/** Many requests are refused at the same moment; a command is run once for all of them. */
const shortestMs = 5_000;

const pemOf = (value: unknown): string | undefined =>
  typeof value === 'string' || Buffer.isBuffer(value) ? value.toString() : undefined;

const tokenOf = ({headers = {}}: RequestOptions): string | undefined => {
  const authorization = 'Authorization' in headers ? headers['Authorization'] : undefined;
  if (authorization === undefined) return undefined;
  const [, token = ''] = /^Bearer (.*)$/s.exec(String(authorization)) ?? [];
  if (!isToken(token.trim())) throw new Error('the user of the kubeconfig has no token that could be sent');
  return token.trim();
};

async function ask(loaded: Kubeconfig): Promise<Credentials> {
  const options: RequestOptions = {};
  await loaded.applyToHTTPSOptions(options).catch((cause: Error) => {
    const why = cause.message.trim() === '' ? 'its command failed and said nothing' : cause.message.trim();
    throw new Error(`no credentials for the user of the kubeconfig: ${why}`, {cause});
  });
  const ca = pemOf(options.ca);
  if (ca !== undefined && !isCertificate(ca))
    throw new Error('the certificate-authority of the kubeconfig holds no certificate in PEM');
  return {ca, clientCert: pemOf(options.cert), clientKey: pemOf(options.key), token: tokenOf(options)};
}

export function createKubeconfigSource({loaded, load, clock}: KubeconfigSourceOptions): CredentialSource {
  let current = loaded;
  let loadedAt = -Infinity;
  let asking: Promise<Credentials> | undefined;

  const loadAgain = (): Kubeconfig => {
    try {
      return load();
    } catch {
      return current; // it is being written
    }
  };

  return {
    current() {
      asking ??= ask(current).finally(() => {
        asking = undefined;
      });
      return asking;
    },
    renew() {
      if (clock.now() - loadedAt >= shortestMs) {
        loadedAt = clock.now();
        current = loadAgain();
        asking = undefined;
      }
      return Promise.resolve(true);
    },
  };
}
