/** What a backend is called with: its credentials, made ready for every request. */
import {
  credentialKey,
  type BackendConfig,
  type CredentialName,
  type Credentials,
  type TlsConfig,
  type TlsMaterial,
} from '../config/schema.ts';
import {faultsInTls, toTlsSettings, type TlsSettings} from './tls-settings.ts';

export type Access = {
  /** Flat: name, value. */
  readonly authHeaders: readonly string[];
  /** Undefined: as its URL says, with what the system trusts. */
  readonly tls: TlsSettings | undefined;
};

/** A problem names Secrets and keys, and never shows what they hold. */
export type ResolvedAccess = {access: Access} | {problem: string};

const described = ({namespace, name, key}: CredentialName): string => `key "${key}" of Secret ${namespace}/${name}`;

const parts = ['ca', 'cert', 'key'] as const;

type TlsAccess = {tls: TlsSettings | undefined} | {problem: string};

function resolveTls(tls: TlsConfig | undefined, valueOf: (name: CredentialName) => string): TlsAccess {
  if (tls === undefined) return {tls};
  const material: TlsMaterial = {};
  for (const part of parts) {
    const name = tls[part];
    if (name !== undefined) material[part] = valueOf(name);
  }
  const [fault] = faultsInTls(material);
  const name = fault && tls[fault.part];
  if (fault !== undefined && name !== undefined) return {problem: `${described(name)} ${fault.problem}`};
  return {tls: toTlsSettings(tls.serverName, material)};
}

/** The credentials that `config` names, out of those that have arrived. */
export function resolveAccess({auth, tls}: BackendConfig, credentials: Credentials): ResolvedAccess {
  const missing = [auth?.credential, ...parts.map((part) => tls?.[part])].find(
    (name) => name !== undefined && !credentials.has(credentialKey(name)),
  );
  if (missing !== undefined) return {problem: `${described(missing)} has not arrived`};
  const valueOf = (name: CredentialName): string => credentials.get(credentialKey(name)) ?? '';
  const resolved = resolveTls(tls, valueOf);
  if ('problem' in resolved) return resolved;
  const authHeaders = auth === undefined ? [] : [auth.headerName, `${auth.prefix}${valueOf(auth.credential)}`];
  return {access: {authHeaders, tls: resolved.tls}};
}
