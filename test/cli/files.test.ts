import {chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import {loadFiles, type LoadOptions, type Loaded} from '../../operator/files/load.ts';
import type {Effect} from '../../operator/files/problem.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'modelroute-files-'));
});
afterEach(() => rmSync(folder, {recursive: true}));

const write = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

const load = (text: string, options?: LoadOptions): Loaded => loadFiles([write('route.yaml', text)], options);

/** A ModelRoute whose spec starts at line 5. */
const route = (spec: string, name = 'chat'): string =>
  `apiVersion: modelroute.dev/v1alpha1\nkind: ModelRoute\nmetadata: {name: ${name}}\nspec:\n${spec}\n`;
const url = 'url: https://a.example/v1';
const plain = `  backends:\n  - name: a\n    ${url}`;
const authorised = `${plain}\n    auth: {secretRef: {name: openai}}`;
const secret = (rest: string): string => `apiVersion: v1\nkind: Secret\nmetadata: {name: openai}\n${rest}\n`;
const slice = (rest: string, labels = '{kubernetes.io/service-name: vllm}'): string =>
  `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: vllm-1, labels: ${labels}}\n${rest}\n`;
const gateway = (spec: string): string =>
  `apiVersion: modelroute.dev/v1alpha1\nkind: ModelGateway\nmetadata: {name: models}\nspec:\n${spec}\n`;
const all = (...documents: string[]): string => documents.join('---\n');

describe('bad input is told once, with file, line, field and remedy', () => {
  type Case = {text: string; line: number; path: string; message: RegExp; effect?: Effect};
  const cases: Record<string, Case> = {
    'YAML that does not parse': {text: `${route(plain)}  retry: [\n`, line: 8, path: '', message: /not valid YAML/},
    'an unknown field': {
      text: route(`${plain}\n    wieght: 2`),
      line: 8,
      path: 'spec.backends[0].wieght',
      message: /unknown field.*weight/,
    },
    'a wrong type': {
      text: route(`${plain}\n    weight: heavy`),
      line: 8,
      path: 'spec.backends[0].weight',
      message: /whole number/,
    },
    'a bad duration': {
      text: route(`${plain}\n    timeouts:\n      connect: 2 seconds`),
      line: 9,
      path: 'spec.backends[0].timeouts.connect',
      message: /"2 seconds" is not a duration.*30s/,
    },
    'a backend with two targets': {
      text: route(`${plain}\n    serviceRef: {name: x, port: 1}`),
      line: 6,
      path: 'spec.backends[0]',
      message: /two targets: keep serviceRef or url/,
    },
    'a backend without target': {
      text: route('  backends:\n  - name: a'),
      line: 6,
      path: 'spec.backends[0]',
      message: /needs a target/,
    },
    'a credential on plain http': {
      text: all(route(authorised.replace('https', 'http')), secret('stringData: {apiKey: k}')),
      line: 7,
      path: 'spec.backends[0].url',
      message: /unencrypted: use https/,
    },
    'a key twice': {
      text: route(`${plain}\n    ${url}`),
      line: 8,
      path: 'spec.backends[0].url',
      message: /stands twice.*keep one/,
    },
    'a kind that is not read': {
      text: all(route(plain), 'apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n'),
      line: 10,
      path: 'kind',
      message: /"Pod" is not read: files may hold ModelRoute and ModelGateway .*, Secret .* and EndpointSlice/,
    },
    'an object without kind': {
      text: 'metadata: {name: x}\n',
      line: 1,
      path: '',
      message: /kind is missing: files may hold/,
    },
    'a document that is no object': {text: 'just text\n', line: 1, path: '', message: /not an object/},
    'a version that does not exist': {
      text: route(plain).replace('v1alpha1', 'v9'),
      line: 1,
      path: 'apiVersion',
      message: /a ModelRoute has "modelroute.dev\/v1alpha1"/,
    },
    'a route without name': {
      text: route(plain).replace('{name: chat}', '{}'),
      line: 3,
      path: 'metadata.name',
      message: /required/,
    },
    'a Secret without name': {
      text: all(route(plain), 'apiVersion: v1\nkind: Secret\n'),
      line: 9,
      path: 'metadata.name',
      message: /add metadata.name/,
    },
    'the same object twice': {
      text: all(route(plain), route(plain)),
      line: 11,
      path: 'metadata.name',
      message: /ModelRoute default\/chat is already defined at .*route.yaml:3: keep one/,
    },
    'a file without objects': {
      text: '# nothing yet\n',
      line: 1,
      path: '',
      message: /no object in the files: add a ModelRoute/,
    },
    'two routes with one model name': {
      text: all(route(plain), route(`${plain}\n  modelNames: [x, chat]`, 'other')),
      line: 16,
      path: 'spec.modelNames[1]',
      message: /"chat" is taken by ModelRoute default\/chat, .*: use another name/,
      effect: 'ExcludesRoute',
    },
    'a missing Secret': {
      text: route(authorised),
      line: 8,
      path: 'spec.backends[0].auth.secretRef.name',
      message: /no Secret default\/openai: add it with the key "apiKey"/,
      effect: 'ExcludesBackend',
    },
    'a missing key': {
      text: all(route(authorised), secret('stringData: {token: k}')),
      line: 8,
      path: 'spec.backends[0].auth.secretRef.key',
      message: /no key "apiKey" \(it has token\)/,
      effect: 'ExcludesBackend',
    },
    'a Service without endpoints': {
      text: route('  backends:\n  - name: a\n    serviceRef: {name: vllm, port: 80}'),
      line: 7,
      path: 'spec.backends[0].serviceRef.name',
      message: /add an EndpointSlice .*, or use url/,
      effect: 'ExcludesBackend',
    },
    'a gateway that is not there': {
      text: route(`${plain}\n  gatewayRef: {name: shared}`),
      line: 8,
      path: 'spec.gatewayRef.name',
      message: /no ModelGateway default\/shared: add one/,
      effect: 'ExcludesRoute',
    },
    'a Secret that is not base64': {
      text: all(route(plain), secret('data:\n  apiKey: sk-plain')),
      line: 13,
      path: 'data.apiKey',
      message: /not base64: .* stringData/,
    },
    'a Secret with a number': {
      text: all(route(plain), secret('stringData: {pin: 123}')),
      line: 12,
      path: 'stringData.pin',
      message: /quotes/,
    },
    'a Secret with a misspelt field': {
      text: all(route(plain), secret('stringdata: {apiKey: k}')),
      line: 12,
      path: 'stringdata',
      message: /spelling/,
    },
    'an EndpointSlice of no Service': {
      text: all(route(plain), slice('addressType: IPv4\nports: [{port: 1}]\nendpoints: []', '{}')),
      line: 11,
      path: 'metadata.labels["kubernetes.io/service-name"]',
      message: /names the Service/,
    },
    'an EndpointSlice without ports': {
      text: all(route(plain), slice('addressType: IPv4\nports: []\nendpoints: []')),
      line: 13,
      path: 'ports',
      message: /at least one port/,
    },
    'an EndpointSlice with a bad address': {
      text: all(route(plain), slice('addressType: IPv4\nports: [{port: 1}]\nendpoints:\n- addresses: [vllm.local]')),
      line: 15,
      path: 'endpoints[0].addresses[0]',
      message: /"vllm.local" is no IPv4 address/,
    },
    'a field that is not supported yet': {
      text: route(`${plain}\n    continueBy: Prefill`),
      line: 8,
      path: 'spec.backends[0].continueBy',
      message: /"Prefill" is not supported yet: use Regenerate/,
    },
    'routes of two gateways': {
      text: all(route(plain), route(`${plain}\n  gatewayRef: {name: models, namespace: b}`, 'other')),
      line: 16,
      path: 'spec.gatewayRef',
      message: /2 gateways \(default\/models, b\/models\), and one process serves one: /,
    },
    'a gateway that no route belongs to': {
      text: all(route(plain), gateway('  logging: {level: Debug}').replace('name: models', 'name: other')),
      line: 11,
      path: 'metadata.name',
      message: /no route in these files belongs to this gateway/,
      effect: 'Warns',
    },
    'no route at all': {
      text: secret('stringData: {apiKey: k}'),
      line: 1,
      path: '',
      message: /no ModelRoute/,
      effect: 'Warns',
    },
  };
  it.each(Object.entries(cases))('%s', (name, {text, line, path, message, effect = 'RejectsAll'}) => {
    const {problems, config} = load(text);
    const severity = effect === 'Warns' ? 'Warning' : 'Error';
    const own = name === 'routes of two gateways' ? problems.filter(({effect}) => effect === 'RejectsAll') : problems;
    expect(own).toEqual([
      expect.objectContaining({
        file: join(folder, 'route.yaml'),
        line,
        path,
        severity,
        effect,
        message: expect.stringMatching(message),
      }),
    ]);
    expect(config === undefined).toBe(effect === 'RejectsAll');
  });
});

describe('files that cannot be read', () => {
  beforeEach(() => {
    write('ok.yaml', route(plain));
  });

  const problemOf = (path: string): string | undefined => {
    const {problems, config} = loadFiles([join(folder, 'ok.yaml'), path]);
    expect(config).toBeUndefined();
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({file: path, line: 1});
    return problems[0]?.message;
  };

  it('because there is none', () => {
    expect(problemOf(join(folder, 'nowhere.yaml'))).toMatch(/no such file or folder: check the path/);
  });

  it('because they may not be', () => {
    const path = write('secret.yaml', '');
    chmodSync(path, 0);
    chmodSync(folder, 0o755);
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.('nobody'); // the super-user reads everything
    try {
      expect(problemOf(path)).toMatch(/no permission to read it/);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });

  it('because of a link in a circle', () => {
    symlinkSync('loop.yaml', join(folder, 'loop.yaml'));
    expect(problemOf(join(folder, 'loop.yaml'))).toMatch(/leads back to itself/);
  });

  it('because they are a socket', async () => {
    const path = join(folder, 'socket.yaml');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    try {
      expect(problemOf(path)).toMatch(/neither a file nor a folder/);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('because they are no text', () => {
    const path = join(folder, 'binary.yaml');
    writeFileSync(path, Buffer.from([0x61, 0xff, 0xfe]));
    expect(problemOf(path)).toMatch(/not UTF-8/);
  });

  it('because the folder holds none', () => {
    mkdirSync(join(folder, 'empty'));
    expect(problemOf(join(folder, 'empty'))).toMatch(/holds no \*.yaml, \*.yml or \*.json/);
  });
});

describe('good files', () => {
  it('are a route, its credential and its endpoints', () => {
    const text = all(
      route('  backends:\n  - name: a\n    serviceRef: {name: vllm, port: 80}\n    auth: {secretRef: {name: openai}}'),
      secret(`data: {apiKey: ${Buffer.from('encoded').toString('base64')}, other: aGk=}\nstringData: {apiKey: plain}`),
      slice(
        'addressType: IPv4\nports: [{name: http, port: 8000}]\nendpoints: [{addresses: [10.0.0.1], conditions: {ready: true}, zone: z}]',
      ),
    );
    const {config, credentials, slices, problems, counts} = load(text);
    expect(problems).toEqual([]);
    expect(counts).toEqual({routes: 1, backends: 1});
    expect(config?.routes[0]?.backends[0]?.target).toEqual({
      type: 'Service',
      namespace: 'default',
      name: 'vllm',
      portName: 'http',
      path: '/v1',
    });
    expect([...(credentials?.values() ?? [])]).toEqual(['plain']);
    expect(slices).toEqual([
      {
        namespace: 'default',
        serviceName: 'vllm',
        addressType: 'IPv4',
        ports: [{name: 'http', port: 8000}],
        endpoints: [{addresses: ['10.0.0.1'], zone: 'z', ready: true}],
      },
    ]);
  });

  it('name another credential when its value has changed, and the same when it has not', () => {
    const keys = (value: string): string[] => [
      ...(load(all(route(authorised), secret(`stringData: {apiKey: ${value}}`))).credentials?.keys() ?? []),
    ];
    expect(keys('one')).toEqual(keys('one'));
    expect(keys('one')).not.toEqual(keys('two'));
  });

  it('may be a folder: its YAML and JSON, sorted, and no folder below it', () => {
    write('b.yml', route(plain, 'b'));
    write(
      'a.json',
      JSON.stringify({
        apiVersion: 'modelroute.dev/v1alpha1',
        kind: 'ModelRoute',
        metadata: {name: 'a'},
        spec: {backends: [{name: 'x', url: 'https://a.example'}]},
      }),
    );
    write('notes.txt', 'not: [yaml');
    mkdirSync(join(folder, 'below'));
    write(join('below', 'c.yaml'), route(plain, 'c'));
    const {config, problems} = loadFiles([folder]);
    expect(problems).toEqual([]);
    expect(config?.routes.map(({name}) => name)).toEqual(['a', 'b']);
  });

  it('may be a List, in which a problem names the item', () => {
    const item = {
      apiVersion: 'modelroute.dev/v1alpha1',
      kind: 'ModelRoute',
      metadata: {name: 'a'},
      spec: {backends: [{name: 'x'}]},
    };
    expect(load(JSON.stringify({apiVersion: 'v1', kind: 'List', items: [item]})).problems).toMatchObject([
      {path: 'items[0].spec.backends[0]'},
    ]);
  });

  it('take the settings of their gateway, and name what only a cluster acts on', () => {
    const {config, clusterOnly} = load(
      all(route(plain), gateway('  replicas: 3\n  defaults: {retry: {maxAttempts: 7}}')),
    );
    expect(config?.routes[0]?.retry.maxAttempts).toBe(7);
    expect(clusterOnly).toEqual(['ModelGateway default/models: spec.replicas']);
  });

  it('do not name defaults of the schema as what only a cluster acts on', () => {
    expect(load(all(route(plain), gateway('  limits: {}'))).clusterOnly).toEqual([]);
  });

  it('may hold nulls, as `kubectl create --dry-run` prints them', () => {
    const text = route(`${plain}\n    auth: null\n  retry: null`).replace(
      '{name: chat}',
      '{name: chat, creationTimestamp: null}',
    );
    const {config, problems} = load(text);
    expect(problems).toEqual([]);
    expect(config?.routes).toHaveLength(1);
  });

  it('may come from standard input', () => {
    expect(loadFiles(['-'], {stdin: route(plain)}).config?.routes).toHaveLength(1);
  });
});

describe('one bad object', () => {
  it('does not hide what is wrong with the others', () => {
    const {problems} = load(
      all(route('  backends: []'), route(plain, 'b'), route(`${plain}\n  modelNames: [b]`, 'c'), 'kind: Pod\n'),
    );
    expect(problems.map(({path}) => path)).toEqual(['spec.backends', 'spec.modelNames[0]', 'kind']);
  });

  it('does not let others be told that they miss it', () => {
    const broken = secret('stringData: [');
    expect(load(all(route(authorised), broken)).problems.map(({message}) => message)).toEqual([
      expect.stringMatching(/not valid YAML/),
    ]);
  });

  it('that cannot be resolved leaves the others serving', () => {
    const {config} = load(all(route(authorised), route(plain, 'b')));
    expect(config?.routes.map(({name, backends}) => [name, backends.length])).toEqual([
      ['b', 1],
      ['chat', 0],
    ]);
  });
});

describe('what a single process cannot do', () => {
  const text = all(
    route(`${plain}\n  stream: {onCut: Continue}`),
    route(plain, 'b').replace('{name: b}', '{name: b, namespace: other}'),
  );

  it('is refused by serve', () => {
    const {problems, config} = load(text);
    expect(problems.map(({effect}) => effect)).toEqual(['RejectsAll', 'RejectsAll']);
    expect(config).toBeUndefined();
  });

  it('is warned of by check', () => {
    expect(load(text, {use: 'Check'}).problems.map(({effect, severity}) => `${severity} ${effect}`)).toEqual([
      'Warning Warns',
      'Warning Warns',
    ]);
  });
});
