/** Who we are to the API server and whom we take for it: from a config, or from files that the kubelet replaces while we run. */
import {X509Certificate} from 'node:crypto';
import {existsSync} from 'node:fs';
import {readFile, stat} from 'node:fs/promises';
import {isIPv6} from 'node:net';
import {join} from 'node:path';
import {createSecureContext} from 'node:tls';
import type {Clock} from './clock.ts';

export type KubeConfig = {
  /** `https://10.0.0.1:443`; a path goes before that of each request. */
  server: string;
  /** PEM. Without one, the CAs that Node trusts. */
  ca?: string;
  caFile?: string;
  token?: string;
  tokenFile?: string;
  /** PEM. */
  clientCert?: string;
  /** PEM. */
  clientKey?: string;
  /** Asked for, and expected in the server's certificate, instead of its host. */
  tlsServerName?: string;
  /** Any certificate of the server will do. */
  insecureSkipTlsVerify?: boolean;
  /** Where credentials come from, instead of all that is said of them here. */
  source?: CredentialSource;
};

/** What they are at the moment. PEM, and the token without white space. */
export type Credentials = {
  readonly ca: string | undefined;
  readonly clientCert: string | undefined;
  readonly clientKey: string | undefined;
  readonly token: string | undefined;
};

export type CredentialSource = {
  /** Throws an Error that says what is missing. */
  current(): Promise<Credentials>;
  /** Looks at once for others, since the server refused what we have. False: there can be none. */
  renew(): Promise<boolean>;
};

const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * As a pod finds its API server (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/). Throws an Error that names
 * what is missing. `folder`: of the service account.
 */
export function inClusterConfig(
  environment: Readonly<Record<string, string | undefined>>,
  folder: string = serviceAccountFolder,
): KubeConfig {
  const needed = (name: string): string => {
    const value = environment[name];
    if (value === undefined || value === '')
      throw new Error(`${name} is not set: this is no pod of a cluster, or its service links are off`);
    return value;
  };
  const neededFile = (name: string): string => {
    const path = join(folder, name);
    if (existsSync(path)) return path;
    throw new Error(`${path} does not exist: does the pod say automountServiceAccountToken: false?`);
  };
  const host = needed('KUBERNETES_SERVICE_HOST');
  const port = needed('KUBERNETES_SERVICE_PORT');
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    tokenFile: neededFile('token'),
    caFile: neededFile('ca.crt'),
  };
}

/** Node itself ignores certificates to trust that it cannot read, and would then trust nobody. */
export const isCertificate = (pem: string): boolean => {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
};

/** As it may stand in a header (RFC 6750, 2.1, and what else is printed). */
export const isToken = (text: string): boolean => /^[\x21-\x7e]+$/.test(text);

type KeptFile = {
  /** The last good one. */
  readonly text: string | undefined;
  /** Why there is none, or no newer one. */
  readonly problem: string;
  /** Never rejects. */
  read(evenIfUnchanged: boolean): Promise<void>;
};

/** A file whose last good content outlives the moment in which it is missing, empty or half written. */
function keepFile(path: string, isGood: (text: string) => boolean, wanted: string): KeptFile {
  let text: string | undefined;
  let problem = '';
  let seen = '';
  return {
    get text() {
      return text;
    },
    get problem() {
      return problem;
    },
    async read(evenIfUnchanged) {
      try {
        const {ino, size, mtimeMs} = await stat(path); // before reading: a change in between is seen the next time
        const version = `${ino} ${size} ${mtimeMs}`;
        if (version === seen && !evenIfUnchanged) return;
        const found = (await readFile(path, 'utf8')).trim();
        if (!isGood(found)) {
          problem = `${path} holds no ${wanted}`;
          return;
        }
        text = found;
        seen = version;
        problem = '';
      } catch (error) {
        problem = `cannot read credentials: ${(error as Error).message}`; // fs throws nothing else, and names the path
      }
    },
  };
}

const lookEveryMs = 5_000;

/** Throws if the config itself holds what cannot be used. */
function check({ca, token, clientCert, clientKey}: KubeConfig): void {
  if (ca !== undefined && !isCertificate(ca)) throw new Error('ca holds no certificate in PEM');
  if (token !== undefined && !isToken(token.trim())) throw new Error('token holds no token');
  createSecureContext({cert: clientCert, key: clientKey});
}

/** Throws if the config itself holds what cannot be used. */
export function createCredentialSource(config: KubeConfig, clock: Pick<Clock, 'now'>): CredentialSource {
  check(config);
  const {caFile, tokenFile} = config;
  const ca = caFile === undefined ? undefined : keepFile(caFile, isCertificate, 'certificate in PEM');
  const token = tokenFile === undefined ? undefined : keepFile(tokenFile, isToken, 'token');
  const files = [ca, token].filter((file) => file !== undefined);
  let lookedAt = -Infinity;
  /** One after the other, or an older read could end last. */
  let looking = Promise.resolve();

  const look = (evenIfUnchanged: boolean): Promise<void> => {
    lookedAt = clock.now();
    looking = looking.then(async () => {
      for (const file of files) await file.read(evenIfUnchanged);
    });
    return looking;
  };
  const missing = (): KeptFile | undefined => files.find(({text}) => text === undefined);

  return {
    async current() {
      if (files.length > 0 && (clock.now() - lookedAt >= lookEveryMs || missing() !== undefined)) await look(false);
      const absent = missing();
      if (absent !== undefined) throw new Error(absent.problem);
      return {
        ca: ca?.text ?? config.ca,
        clientCert: config.clientCert,
        clientKey: config.clientKey,
        token: token?.text ?? config.token?.trim(),
      };
    },
    async renew() {
      if (files.length === 0) return false;
      await look(true);
      return true;
    },
  };
}
