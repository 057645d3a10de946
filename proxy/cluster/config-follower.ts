/** Follows the gateway's config in its ConfigMap. That it is gone, or cannot be read, never means that there is nothing to serve. */
import {isRecord} from '../../kube/parse-object.ts';
import type {Rejection} from '../engine/gateway.ts';
import type {Log} from './log.ts';
import {followObject, type Stoppable, type Watching} from './named-object.ts';
import {configFile, readConfig, type LoadedConfig, type ObjectName, type StoredConfig} from './stored.ts';

export type ConfigListener = {
  loaded(config: LoadedConfig): void;
  rejected(rejection: Rejection): void;
};

function readObject(binaryData: unknown, gateway: ObjectName): StoredConfig {
  const data = isRecord(binaryData) ? binaryData[configFile] : undefined;
  if (typeof data !== 'string') return {rejection: {hash: '', reason: `the ConfigMap has no binaryData ${configFile}`}};
  return readConfig(Buffer.from(data, 'base64'), gateway);
}

export function followConfig(gateway: ObjectName, watching: Watching, log: Log, listener: ConfigListener): Stoppable {
  const {namespace} = gateway;
  const name = `${gateway.name}-config`;
  return followObject('configmaps', {namespace, name}, watching, (object) => {
    if (object === undefined) {
      log.warn('there is no config object, the last good config stays in use', {configMap: `${namespace}/${name}`});
      return;
    }
    const read = readObject(object['binaryData'], gateway);
    if ('loaded' in read) listener.loaded(read.loaded);
    else listener.rejected(read.rejection);
  });
}
