import {describe, expect, it} from '@jest/globals';
import {Ajv} from 'ajv';
import * as fc from 'fast-check';
import {readFileSync} from 'node:fs';
import {
  loadedReport,
  modelGateway,
  modelRoute,
  secret,
  service,
  slice,
  statusInput,
  world,
} from '../../test/objects.ts';
import {conditionTypes} from '../api/conditions.ts';
import {readCrds} from '../api/crds.ts';
import type {Backend, ModelRoute} from '../api/generated.ts';
import {toJsonSchema} from '../api/json-schema.ts';
import type {FleetState, StatusInput, StatusPlan} from './fleet.ts';
import {nameOf, nameText} from './metadata.ts';
import {planStatus} from './status.ts';

const name = fc.constantFrom('a', 'b', 'c');
const namespace = fc.constantFrom('team-a', 'team-a', 'team-a', 'team-b');
/** Often enough all is well. */
const hash = fc.constantFrom('new', 'new', 'new', 'new', 'new', 'old', 'older', '');
const none = fc.constant(undefined);
const noneMostly = Array.from({length: 10}, () => undefined);
const seldom = fc.nat(9).map((number) => number === 0);
const address = fc.constantFrom('10.1.0.1', '10.1.0.2', '10.1.0.3');

const backend: fc.Arbitrary<Omit<Backend, 'name'>> = fc
  .record({
    target: fc.oneof(
      fc.record({name, port: fc.constantFrom(80, 8000)}).map((serviceRef) => ({serviceRef})),
      fc.constant({url: 'https://a.example'}),
    ),
    auth: fc.oneof({weight: 1, arbitrary: name}, {weight: 2, arbitrary: none}),
    isUnsupported: seldom,
  })
  .map(({target, auth, isUnsupported}) => ({
    ...target,
    ...(auth === undefined ? {} : {auth: {secretRef: {name: auth}}}),
    ...(isUnsupported ? {continueBy: 'Prefill' as const} : {}),
  }));

const route: fc.Arbitrary<ModelRoute> = fc
  .record({
    metadata: fc.record({name, namespace, generation: fc.nat(3)}),
    backends: fc.array(backend, {minLength: 1, maxLength: 4}),
    modelNames: fc.array(fc.constantFrom('u', 'v', 'w', 'x', 'y', 'x*', '*'), {minLength: 1, maxLength: 2}),
    isElsewhere: fc.boolean(),
    isUnsupported: seldom,
  })
  .map(({metadata, backends, modelNames, isElsewhere, isUnsupported}) =>
    modelRoute(metadata, {
      modelNames,
      backends: backends.map((each, index) => ({...each, name: `b${index}`})),
      ...(isElsewhere ? {gatewayRef: {namespace: 'team-a', name: 'models'}} : {}),
      ...(isUnsupported ? {stream: {onCut: 'Continue'}} : {}),
    }),
  );

const uniquely = <T extends {namespace: string; name: string}>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.uniqueArray(one, {maxLength: 6, selector: nameText});

const endpoint = fc.record({address, ready: fc.option(fc.boolean(), {nil: undefined}), terminating: fc.boolean()});

const given = fc.record({
  gateway: fc.option(fc.record({replicas: fc.nat(3), prompts: fc.boolean()}), {nil: undefined}),
  routes: fc.uniqueArray(route, {maxLength: 5, selector: (each) => nameText(nameOf(each))}),
  secrets: uniquely(fc.record({namespace, name, apiKey: fc.constantFrom('sk-hidden', '', 'sk-hidden\uFFFD')})),
  services: uniquely(
    fc.record({namespace, name, type: fc.constantFrom('ClusterIP', 'ExternalName'), port: fc.constantFrom(80, 8000)}),
  ),
  slices: fc.array(fc.record({namespace, name, endpoints: fc.array(endpoint, {maxLength: 4})}), {maxLength: 5}),
});

const report = fc.record({
  address,
  hash,
  rejected: fc.oneof(
    {weight: 1, arbitrary: fc.record({hash, reason: fc.constant('why')})},
    {weight: 5, arbitrary: none},
  ),
  missingCredentials: seldom.map((is) => (is ? ['team-a/a', 'team-b/b'] : [])),
});

const state = fc.record({
  replicas: fc.nat(3),
  reports: fc.array(report, {minLength: 2, maxLength: 6}),
  readyAddresses: fc.uniqueArray(address, {maxLength: 3}),
  remembers: fc.boolean(),
  blocked: fc.constantFrom('Accepted', 'Programmed', ...noneMostly),
});

type Given = typeof given extends fc.Arbitrary<infer T> ? T : never;
type State = typeof state extends fc.Arbitrary<infer T> ? T : never;

const worldOf = ({gateway, routes, secrets, services, slices}: Given) =>
  world({
    gateways:
      gateway === undefined
        ? []
        : [modelGateway({}, {replicas: gateway.replicas, logging: {prompts: gateway.prompts}})],
    routes,
    secrets: secrets.map(({apiKey, ...rest}) => secret({...rest, values: {apiKey}})),
    services: services.map(({port, ...rest}) => service({...rest, ports: [{name: 'http', port}]})),
    slices: slices.map(({namespace, name, endpoints}) =>
      slice({
        namespace,
        serviceName: name,
        endpoints: endpoints.map(({address, ready, terminating}) => ({
          addresses: [address],
          terminating,
          ...(ready === undefined ? {} : {ready}),
        })),
      }),
    ),
  });

const inputOf = (made: Given, {blocked, remembers, reports, ...rest}: State): StatusInput => {
  const input = statusInput(worldOf(made));
  const fleet: FleetState = {
    ...rest,
    readyReplicas: rest.readyAddresses.length,
    reports: reports.map(({rejected, ...each}) =>
      loadedReport({...each, ...(rejected === undefined ? {} : {rejected})}),
    ),
    published: new Map(remembers ? [['old', {...input.config, routes: input.config.routes.slice(1)}]] : []),
    wantedHash: 'new',
    ...(blocked === undefined ? {} : {blocked: {type: blocked, reason: 'ApplyFailed', message: 'why'}}),
  };
  return {...input, fleet};
};

/** The objects as they are once the statuses are written. */
const written = (input: StatusInput, {gateway, routes}: StatusPlan): StatusInput => ({
  ...input,
  gateway: input.gateway && {...input.gateway, ...(gateway && {status: gateway})},
  routes: input.routes.map((each) => {
    const status = routes.get(nameText(nameOf(each)));
    return {...each, ...(status && {status})};
  }),
  now: '2026-11-21T13:00:00Z',
});

const validators = new Map(
  readCrds((path) => readFileSync(path, 'utf8')).map(({kind, schema}) => [
    kind,
    new Ajv({strict: false, formats: {'date-time': true}}).compile(toJsonSchema(schema.properties?.['status'] ?? {})),
  ]),
);

const faultsOf = (kind: string, status: unknown): unknown => {
  const validate = validators.get(kind);
  return validate?.(status) === true ? [] : validate?.errors;
};

describe('statuses of any world', () => {
  it('lead to themselves', () => {
    fc.assert(
      fc.property(given, state, (made, fleet) => {
        const input = inputOf(made, fleet);
        const first = planStatus(input);
        expect(planStatus(written(input, first))).toEqual(first);
      }),
    );
  });

  it('fit the schema, are whole, and hold no credential', () => {
    fc.assert(
      fc.property(given, state, (made, fleet) => {
        const {gateway, routes} = planStatus(inputOf(made, fleet));
        for (const [kind, status] of [
          ...[...routes.values()].map((each) => ['ModelRoute', each] as const),
          ...(gateway === undefined ? [] : [['ModelGateway', gateway] as const]),
        ]) {
          expect(faultsOf(kind, status)).toEqual([]);
          expect(status.conditions?.map(({type}) => type)).toEqual(conditionTypes);
          expect(JSON.stringify(status)).not.toContain('hidden');
        }
      }),
    );
  });

  it('call a route ready only if it is accepted, programmed and somebody can answer', () => {
    fc.assert(
      fc.property(given, state, (made, fleet) => {
        const input = inputOf(made, fleet);
        for (const {conditions = [], backends = []} of planStatus(input).routes.values()) {
          const isTrue = (type: string): boolean =>
            conditions.some((condition) => condition.type === type && condition.status === 'True');
          const canAnswer = input.fleet.readyAddresses.length > 0 && backends.some((each) => each.readyEndpoints !== 0);
          expect(isTrue('Ready')).toBe(isTrue('Accepted') && isTrue('Programmed') && canAnswer);
        }
      }),
    );
  });
});
