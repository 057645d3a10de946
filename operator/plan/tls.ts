/** How TLS is spoken to a backend: the name to expect, and the certificates and keys that it refers to. */
import {credentialKey, type TlsConfig, type TlsMaterial} from '../../proxy/config/schema.ts';
import {invalid} from '../api/conditions.ts';
import type {Backend, BackendTls} from '../api/generated.ts';
import {findSecretValue, keyText, type SecretKey, type SecretsInReach} from './secret-value.ts';
import type {BackendFault, ResolvedAccess, World} from './world.ts';

type Part = keyof TlsMaterial;

/** What a certificate is expected to be for. */
const serverNameOf = ({tls, url, serviceRef}: Backend, namespace: string): string => {
  if (tls?.serverName !== undefined) return tls.serverName;
  if (url !== undefined) return new URL(url).hostname.replaceAll(/^\[|\]$/g, '');
  if (serviceRef === undefined) throw new Error('bug: the schema let a backend without target pass');
  return `${serviceRef.name}.${namespace}.svc`;
};

/** The values that `tls` refers to; keys as Secrets of type kubernetes.io/tls and cert-manager have them. */
const wantedParts = ({caRef, clientCertRef}: BackendTls): Map<Part, SecretKey> => {
  const parts = new Map<Part, SecretKey>();
  if (caRef !== undefined) {
    const {name, key = 'ca.crt'} = caRef;
    parts.set('ca', {field: ['tls', 'caRef'], name, key, mayNameKey: true, what: 'certificates to trust'});
  }
  if (clientCertRef !== undefined) {
    const client = {field: ['tls', 'clientCertRef'], name: clientCertRef.name, mayNameKey: false};
    parts.set('cert', {...client, key: 'tls.crt', what: 'certificate'});
    parts.set('key', {...client, key: 'tls.key', what: 'private key'});
  }
  return parts;
};

type Reach = SecretsInReach & Pick<World, 'faultsInTls'>;

const faultsIn = (material: TlsMaterial, wanted: ReadonlyMap<Part, SecretKey>, reach: Reach): BackendFault[] =>
  (reach.faultsInTls?.(material) ?? []).map(({part, problem}) => {
    const secretKey = wanted.get(part);
    if (secretKey === undefined) throw new Error(`bug: a fault in ${part}, which nothing refers to`);
    const path = [...secretKey.field, secretKey.mayNameKey ? 'key' : 'name'];
    return {path, reason: invalid, message: `${keyText(secretKey, reach.namespace)} ${problem}`};
  });

export const resolveTls = (backend: Backend, reach: Reach): ResolvedAccess => {
  const credentials: ResolvedAccess['credentials'] = [];
  const faults: BackendFault[] = [];
  if (backend.tls === undefined) return {config: {}, credentials, faults};
  const wanted = wantedParts(backend.tls);
  const tls: TlsConfig = {serverName: serverNameOf(backend, reach.namespace)};
  const material: TlsMaterial = {};
  for (const [part, secretKey] of wanted) {
    const found = findSecretValue(secretKey, reach);
    if ('fault' in found) {
      // both halves of a client certificate say the same of a Secret that is not there
      if (!faults.some(({message}) => message === found.fault.message)) faults.push(found.fault);
      continue;
    }
    tls[part] = found.credential;
    material[part] = found.value;
    credentials.push([credentialKey(found.credential), found.value]);
  }
  faults.push(...faultsIn(material, wanted, reach));
  return {config: {tls}, credentials, faults};
};
