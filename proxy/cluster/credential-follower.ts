/** Follows the gateway's credentials in their Secret. What was good last stays while it is gone or cannot be read. */
import {isRecord} from '../../kube/parse-object.ts';
import type {Credentials} from '../config/schema.ts';
import type {Log} from './log.ts';
import {followObject, type Stoppable, type Watching} from './named-object.ts';
import {credentialsFile, readCredentials, type ObjectName, type StoredCredentials} from './stored.ts';

function readObject(data: unknown): StoredCredentials {
  const text = isRecord(data) ? data[credentialsFile] : undefined;
  if (typeof text !== 'string') return {problem: `the Secret has no data ${credentialsFile}`};
  return readCredentials(Buffer.from(text, 'base64').toString('utf8'));
}

/** `heard`: undefined says that there are none of use. */
export function followCredentials(
  gateway: ObjectName,
  watching: Watching,
  log: Log,
  heard: (credentials: Credentials | undefined) => void,
): Stoppable {
  const {namespace} = gateway;
  const name = `${gateway.name}-credentials`;
  const secret = `${namespace}/${name}`;
  return followObject('secrets', {namespace, name}, watching, (object) => {
    const read = object === undefined ? {problem: 'there is none'} : readObject(object['data']);
    if ('problem' in read)
      log.warn('credentials cannot be used, the last good ones stay in use', {secret, problem: read.problem});
    heard('credentials' in read ? read.credentials : undefined);
  });
}
