/**
 * What `helm test` runs in the cluster, with the product's image alone: makes a gateway and a route over two simulators, waits until it is
 * ready, streams once, makes the first simulator fail and sees the second answer. Removes what it made, however it ends; what it could not
 * remove goes with its pod, which owns it.
 */
import {readFileSync} from 'node:fs';
import {setTimeout as delay} from 'node:timers/promises';

/** Of the route and its model, and of the simulators' Services with their own behind it. */
const name = 'modelroute-test';
/** Not the same: what the gateway becomes is named like it, and the ServiceAccount of this pod is there already. */
const gatewayName = 'modelroute-test-gateway';
const patienceMs = 120_000;
const pauseMs = 500;

const setting = (variable: string): string => {
  const value = process.env[variable];
  if (value === undefined) throw new Error(`${variable} is not set`);
  return value;
};

const namespace = setting('NAMESPACE');
const stopped = new AbortController();
process.once('SIGTERM', () => stopped.abort(new Error('stopped before its end')));

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Asks until there is an answer. Whatever goes wrong is told only if that goes on for too long. */
async function eventually<Answer>(what: string, ask: () => Promise<Answer>): Promise<Answer> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    stopped.signal.throwIfAborted();
    try {
      return await ask();
    } catch (error) {
      if (performance.now() > deadline) throw new Error(`${what}: not within ${patienceMs / 1000} s`, {cause: error});
    }
    await delay(pauseMs);
  }
}

type Resource = {kind: 'ModelGateway' | 'ModelRoute'; plural: string; name: string};
const gateway: Resource = {kind: 'ModelGateway', plural: 'modelgateways', name: gatewayName};
const route: Resource = {kind: 'ModelRoute', plural: 'modelroutes', name};

type Condition = {type: string; status: string; reason: string; message: string};
type RouteObject = {status?: {url?: string; conditions?: Condition[]}};

const callApi = async (method: string, path: string, body?: object): Promise<Response> =>
  fetch(`${setting('API_SERVER')}/apis/modelroute.dev/v1alpha1/namespaces/${namespace}/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${readFileSync(setting('TOKEN_FILE'), 'utf8').trim()}`,
      'content-type': 'application/json',
    },
    signal: AbortSignal.timeout(10_000),
    ...(body === undefined ? {} : {body: JSON.stringify(body)}),
  });

const failUnless = async (answer: Response, ...statuses: number[]): Promise<void> => {
  if (!statuses.includes(answer.status))
    throw new Error(`${answer.url} answered ${answer.status}: ${await answer.text()}`);
};

/** One of an earlier test that was killed may still be going: then 409, for a moment. */
const create = async ({kind, plural, name}: Resource, spec: object): Promise<void> => {
  const owner = {apiVersion: 'v1', kind: 'Pod', name: setting('POD_NAME'), uid: setting('POD_UID')};
  const metadata = {name, namespace, ownerReferences: [owner]};
  const object = {apiVersion: 'modelroute.dev/v1alpha1', kind, metadata, spec};
  await eventually(`create a ${kind}`, async () =>
    failUnless(await callApi('POST', `${plural}?fieldValidation=Strict`, object), 201),
  );
};

const remove = async ({plural, name}: Resource): Promise<void> => {
  await failUnless(await callApi('DELETE', `${plural}/${name}`), 200, 202, 404);
  const deadline = performance.now() + patienceMs;
  while ((await callApi('GET', `${plural}/${name}`)).status !== 404) {
    if (performance.now() > deadline) throw new Error(`${plural} ${name} does not go`);
    await delay(pauseMs);
  }
};

/** The URL that its status names. */
const readyUrl = (): Promise<string> =>
  eventually('a ready route', async () => {
    const answer = await callApi('GET', `modelroutes/${name}`);
    await failUnless(answer, 200);
    const {status} = (await answer.json()) as RouteObject; // what the definition lets through
    const conditions = status?.conditions ?? [];
    if (status?.url !== undefined && conditions.some(({type, status}) => type === 'Ready' && status === 'True'))
      return status.url;
    const told = conditions.map(({type, status, reason, message}) => `${type}=${status}/${reason} ${message}`);
    throw new Error(told.length === 0 ? 'no condition: does the operator run?' : told.join('; '));
  });

const ask = async (url: string, members: object): Promise<Response> => {
  const answer = await fetch(`${url}/chat/completions`, {
    method: 'POST',
    headers: {'content-type': 'application/json'},
    body: JSON.stringify({model: name, messages: [{role: 'user', content: 'Hi'}], max_tokens: 20, ...members}),
    signal: AbortSignal.timeout(30_000),
  });
  await failUnless(answer, 200);
  return answer;
};

const expectBackend = (answer: Response, backend: string): void => {
  const by = answer.headers.get('x-modelroute-backend');
  if (by !== backend) throw new Error(`the backend ${by} answered, and not ${backend}`);
};

const expectWholeStream = (text: string): void => {
  const events = text
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => line.slice('data: '.length));
  const isWhole =
    events.at(-1) === '[DONE]' &&
    /"content":"[^"]/.test(text) &&
    /"finish_reason":"\w/.test(text) &&
    !/"error"/.test(text);
  if (!isWhole) throw new Error(`the stream did not come to its end:\n${text}`);
};

const serviceBackend = (backend: string, port: number, priority: number): object => ({
  name: backend,
  priority,
  serviceRef: {name: `${name}-${backend}`, port},
});

async function test(): Promise<void> {
  await create(gateway, {replicas: 1});
  await create(route, {
    gatewayRef: {name: gatewayName},
    backends: [serviceBackend('first', 8001, 0), serviceBackend('second', 8002, 1)],
  });
  const url = await readyUrl();
  say(`ready: ${url}`);

  // The first call may come before this node knows the new Service.
  const streamed = await eventually('a streamed answer', () => ask(url, {stream: true}));
  expectWholeStream(await streamed.text());
  expectBackend(streamed, 'first');
  say('streamed: a whole answer from the first backend');

  const behaviour = JSON.stringify({do: 'status', status: 503});
  await failUnless(
    await fetch(`${setting('FIRST_SIMULATOR')}/control/behaviour`, {method: 'POST', body: behaviour}),
    200,
  );
  expectBackend(await ask(url, {}), 'second');
  say('failed over: the first backend answers 503, the caller got 200 from the second');
}

try {
  await test();
  say('passed');
} catch (error) {
  const {message, cause} = error as Error; // nothing else is thrown here
  say(cause instanceof Error ? `failed: ${message}: ${cause.message}` : `failed: ${message}`);
  process.exitCode = 1;
} finally {
  const left = await Promise.allSettled([remove(route), remove(gateway)]);
  for (const result of left) if (result.status === 'rejected') say(`not removed: ${String(result.reason)}`);
}
