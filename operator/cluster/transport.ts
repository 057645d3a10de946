/**
 * client-node's API objects, sent by the thin client: client-node itself opens a connection for each call, knows no deadline, and reads a
 * token anew only after a minute, even if the one it has is refused.
 */
import {
  createConfiguration,
  ResponseContext,
  ServerConfiguration,
  wrapHttpLibrary,
  type KubernetesObjectApi,
  type RequestContext,
} from '@kubernetes/client-node';
import {ObjectSerializer} from '@kubernetes/client-node/dist/serializer.js';
import type {KubeClient, KubeRequest} from '../../kube/client.ts';

type Configuration = ConstructorParameters<typeof KubernetesObjectApi>[0];

/** The thin client knows the server; client-node wants one to write its URLs with. */
const anyServer = 'http://api-server';

const requestOf = (context: RequestContext): KubeRequest => {
  const {pathname, searchParams} = new URL(context.getUrl());
  const method = context.getHttpMethod() as KubeRequest['method']; // no API object of ours sends HEAD or others
  const body = context.getBody();
  const writes = method === 'POST' || method === 'PATCH';
  return {
    method,
    path: pathname,
    // A field that the API server does not know is a fault of ours that nobody would hear of.
    query: {...Object.fromEntries(searchParams), ...(writes && {fieldValidation: 'Strict'})},
    ...(typeof body === 'string' && {body: JSON.parse(body) as unknown}),
    ...contentTypeOf(context),
    // The work queue tries again, later each time. And an apply that does not fit the schema is answered with a 500 for ever.
    answersAreFinal: true,
  };
};

const contentTypeOf = (context: RequestContext): {contentType?: string} => {
  const {'Content-Type': contentType} = context.getHeaders();
  return contentType === undefined ? {} : {contentType};
};

/** For the constructors of API objects. Their calls throw KubeErrors; their methods and paths are in the messages. */
export function createTransport(client: KubeClient): Configuration {
  const send = async (context: RequestContext): Promise<ResponseContext> => {
    const text = JSON.stringify(await client.request(requestOf(context)));
    const body = {
      text: () => Promise.resolve(text),
      binary: () => Promise.resolve(Buffer.from(text)),
      stream: () => null,
    };
    return new ResponseContext(200, {'content-type': 'application/json'}, body);
  };
  return createConfiguration({
    baseServer: new ServerConfiguration(anyServer, {}),
    httpApi: wrapHttpLibrary({send}),
  });
}

const asItIs = {serialize: (object: unknown) => object, deserialize: (object: unknown) => object};

/**
 * Objects of this kind pass as they are. client-node's models would leave out what they do not know, or know by another name: `from` of a
 * NetworkPolicy, without which it lets everybody in.
 */
export function passAsItIs(apiVersion: string, kind: string): void {
  const [version = '', group = ''] = apiVersion.split('/').toReversed();
  ObjectSerializer.registerModel({group, version, kind}, asItIs);
}
