import {beforeEach, describe, expect, it} from '@jest/globals';
import {KubeError} from '../../kube/errors.ts';
import type {KubeObject} from '../../kube/objects.ts';
import type {Child} from '../plan/fleet.ts';
import {childLabels} from '../plan/labels.ts';
import {createApplier, type Applier} from './apply.ts';
import type {Applied, Writer} from './writer.ts';

const owner = {
  apiVersion: 'modelroute.dev/v1alpha1',
  kind: 'ModelGateway',
  name: 'models',
  uid: 'gateway-1',
  controller: true,
  blockOwnerDeletion: true,
} as const;

const child = (kind: string, spec: unknown = {}): Child => ({
  apiVersion: 'v1',
  kind,
  metadata: {
    name: 'models',
    namespace: 'team-a',
    labels: childLabels({namespace: 'team-a', name: 'models'}),
    ownerReferences: [owner],
  },
  spec,
});

const live = (wanted: Child, resourceVersion: string, metadata: Partial<KubeObject['metadata']> = {}): KubeObject => ({
  ...wanted,
  metadata: {...wanted.metadata, uid: `${wanted.kind}-1`, resourceVersion, ...metadata},
});

describe('children', () => {
  let asked: string[];
  let answers: (wanted: Child, known: KubeObject | undefined) => Applied;
  let applier: Applier;
  const writer: Pick<Writer, 'apply' | 'remove'> = {
    apply: (wanted, {known}) => {
      asked.push(`${known === undefined ? 'create' : 'apply'} ${wanted.kind}`);
      return Promise.resolve(answers(wanted, known));
    },
    remove: (object) => {
      asked.push(`remove ${object.kind}`);
      return Promise.resolve();
    },
  };
  const service = child('Service');

  beforeEach(() => {
    asked = [];
    answers = (wanted, known) =>
      known === undefined
        ? {type: 'Created', object: live(wanted, '5')}
        : {type: 'Applied', object: live(wanted, '5'), before: known};
    applier = createApplier(writer, {now: () => 0});
  });

  it('are made in order, and told of', async () => {
    const {changes, blocked} = await applier.apply([child('Role'), service], [], false);
    expect(asked).toEqual(['create Role', 'create Service']);
    expect(blocked).toBeUndefined();
    expect(changes).toMatchObject([
      {action: 'Created', kind: 'Role', namespace: 'team-a', name: 'models'},
      {action: 'Created', kind: 'Service', namespace: 'team-a', name: 'models'},
    ]);
  });

  it('are left alone while they are as they were applied, seen or not yet seen', async () => {
    await applier.apply([service], [], false);
    asked = [];
    expect((await applier.apply([service], [], false)).changes).toEqual([]);
    expect((await applier.apply([service], [live(service, '5')], false)).changes).toEqual([]);
    expect(asked).toEqual([]);
  });

  it('are applied when somebody has changed them, when something else is wanted, and when everything is due', async () => {
    await applier.apply([service], [], false);
    asked = [];
    await applier.apply([service], [live(service, '6')], false);
    await applier.apply([child('Service', {type: 'NodePort'})], [live(service, '5')], false);
    await applier.apply([child('Service', {type: 'NodePort'})], [live(service, '5')], true);
    expect(asked).toEqual(['apply Service', 'apply Service', 'apply Service']);
  });

  it('are made again when they are gone', async () => {
    await applier.apply([service], [], false);
    applier.forget('Service', 'team-a/models');
    asked = [];
    await applier.apply([service], [], false);
    expect(asked).toEqual(['create Service']);
  });

  it('are not applied for a change of their status where a generation tells it apart', async () => {
    const deployment = child('Deployment');
    answers = (wanted) => ({type: 'Created', object: live(wanted, '5', {generation: 1})});
    await applier.apply([deployment], [], false);
    asked = [];
    await applier.apply([deployment], [live(deployment, '9', {generation: 1})], false);
    expect(asked).toEqual([]);
    const before = live(deployment, '10', {generation: 2});
    answers = (wanted) => ({type: 'Applied', object: live(wanted, '11', {generation: 3}), before});
    await applier.apply([deployment], [before], false);
    expect(asked).toEqual(['apply Deployment']);
  });

  it('are told of only if something changed', async () => {
    const before = live(service, '5');
    const {changes} = await applier.apply([service], [before], false);
    expect(changes).toEqual([]);
    answers = (wanted) => ({type: 'Applied', object: live(wanted, '8'), before});
    const later = await applier.apply([child('Service', {type: 'NodePort'})], [before], false);
    expect(later.changes).toMatchObject([{action: 'Updated', kind: 'Service', namespace: 'team-a', name: 'models'}]);
  });

  describe('of which one cannot be written:', () => {
    const order = ['ServiceAccount', 'NetworkPolicy', 'Secret', 'ConfigMap', 'Service', 'Deployment'];
    const wanted = order.map((kind) => child(kind));
    /** What is asked of the writer, by a new leader that has applied nothing yet. */
    const askedWhere = async (answer: (kind: string) => void, missing: readonly string[] = []) => {
      answers = (each, known) => {
        answer(each.kind);
        if (known === undefined) return {type: 'Created', object: live(each, '5')};
        return {type: 'Applied', object: live(each, '5'), before: known};
      };
      applier = createApplier(writer, {now: () => 0});
      asked = [];
      const existing = wanted.filter(({kind}) => !missing.includes(kind)).map((each) => live(each, '5'));
      const outcome = await applier.apply(wanted, existing, false);
      return {asked: asked.map((each) => each.split(' ')[1]), outcome};
    };
    const refusing =
      (...refused: string[]) =>
      (kind: string): void => {
        if (refused.includes(kind)) throw new KubeError(`${kind} is denied`, {status: 403});
      };

    it.each(['ServiceAccount', 'NetworkPolicy', 'Service', 'Deployment'])(
      'a %s that is there goes on as it is, and all others are written',
      async (kind) => {
        const {asked: all, outcome} = await askedWhere(refusing(kind));
        expect(all).toEqual(order);
        expect(outcome.blocked).toEqual({type: 'Programmed', reason: 'ApplyFailed', message: `${kind} is denied`});
      },
    );

    it('the first of several is told of', async () => {
      const {outcome} = await askedWhere(refusing('NetworkPolicy', 'Service'));
      expect(outcome.blocked?.message).toBe('NetworkPolicy is denied');
      expect(String(outcome.error)).toContain('NetworkPolicy is denied');
    });

    it('one that is not there keeps from being written what stands on it, but not the config and credentials of a fleet that runs', async () => {
      const published = ['Secret', 'ConfigMap'];
      const guarded = await askedWhere(refusing('NetworkPolicy'), ['NetworkPolicy']);
      expect(guarded.asked).toEqual(['ServiceAccount', 'NetworkPolicy', ...published]);
      const made = await askedWhere(refusing('NetworkPolicy'), order);
      expect(made.asked).toEqual(['ServiceAccount', 'NetworkPolicy']);
    });

    it('a config waits for its credentials, and the pods for a config', async () => {
      expect((await askedWhere(refusing('Secret'))).asked).toEqual(order.filter((kind) => kind !== 'ConfigMap'));
      const first = await askedWhere(refusing('Secret'), ['ConfigMap', 'Service', 'Deployment']);
      expect(first.asked).toEqual(['ServiceAccount', 'NetworkPolicy', 'Secret']);
      const withoutSecret = await askedWhere(refusing('NetworkPolicy'), ['NetworkPolicy', 'Secret']);
      expect(withoutSecret.asked).toEqual(['ServiceAccount', 'NetworkPolicy']);
    });

    it("beside a stranger's object nothing is half made, but a fleet that runs goes on getting its config and credentials", async () => {
      const stranger = {...live(child('NetworkPolicy'), '5'), metadata: {name: 'models', namespace: 'team-a'}};
      const rest = wanted.filter(({kind}) => kind !== 'NetworkPolicy').map((each) => live(each, '5'));
      answers = (each, known) => {
        if (each.kind === 'NetworkPolicy') return {type: 'NameInUse', message: 'it is taken'};
        return {type: 'Applied', object: live(each, '5'), before: known ?? live(each, '5')};
      };
      const running = await applier.apply(wanted, [stranger, ...rest], false);
      expect(asked).toEqual(['apply ServiceAccount', 'apply NetworkPolicy', 'apply Secret', 'apply ConfigMap']);
      expect(running.blocked).toEqual({type: 'Accepted', reason: 'NameInUse', message: 'it is taken'});
    });

    it('for want of an answer, only config and credentials are tried: each try may take as long', async () => {
      const {asked: tried} = await askedWhere((kind) => {
        if (kind === 'ServiceAccount') throw new KubeError('no answer within 10 s', {status: 0});
      });
      expect(tried).toEqual(['ServiceAccount', 'Secret', 'ConfigMap']);
    });

    it('one that was changed meanwhile keeps none of the others, and another plan is due', async () => {
      answers = (each, known) =>
        each.kind === 'ServiceAccount'
          ? {type: 'Conflict'}
          : {type: 'Applied', object: live(each, '5'), before: known ?? live(each, '5')};
      const existing = wanted.map((each) => live(each, '5'));
      expect((await applier.apply(wanted, existing, false)).isStale).toBe(true);
      expect(asked).toEqual(order.map((kind) => `apply ${kind}`));
    });
  });

  it("stop at a stranger's object", async () => {
    answers = () => ({type: 'NameInUse', message: 'it is taken'});
    const {blocked} = await applier.apply([service, child('Deployment')], [], false);
    expect(asked).toEqual(['create Service']);
    expect(blocked).toEqual({type: 'Accepted', reason: 'NameInUse', message: 'it is taken'});
  });

  it('wait for what an earlier gateway of the name has left', async () => {
    answers = () => ({type: 'GoingAway'});
    const {blocked, error} = await applier.apply([service, child('Deployment')], [], false);
    expect(asked).toEqual(['create Service']);
    expect(blocked).toMatchObject({type: 'Programmed', reason: 'Pending'});
    expect(error).toBeUndefined();
  });

  it('in other namespaces block nothing here, and are told of', async () => {
    const {ownerReferences: _owner, ...metadata} = child('Role').metadata;
    const far = {...child('Role'), metadata: {...metadata, namespace: 'team-b'}};
    answers = (wanted) =>
      wanted.kind === 'Role'
        ? {type: 'NameInUse', message: 'it is taken'}
        : {type: 'Created', object: live(wanted, '5')};
    const {blocked, elsewhere, changes} = await applier.apply([far, service], [], false);
    expect(blocked).toBeUndefined();
    expect(elsewhere).toEqual([{namespace: 'team-b', reason: 'NameInUse', message: 'it is taken'}]);
    expect(changes.map(({kind}) => kind)).toEqual(['Service']);
  });

  it('are planned anew when they were changed meanwhile', async () => {
    answers = () => ({type: 'Conflict'});
    expect(await applier.apply([service, child('Deployment')], [], false)).toMatchObject({isStale: true, changes: []});
    expect(asked).toEqual(['create Service']);
    answers = (wanted) => ({type: 'Created', object: live(wanted, '5')});
    expect(await applier.apply([service], [], false)).toMatchObject({isStale: false});
  });

  it('that may be applied to one version only are left alone while that alone changes', async () => {
    const at = (resourceVersion: string): Child => ({...service, metadata: {...service.metadata, resourceVersion}});
    const before = live(service, '3', {generation: 1});
    answers = () => ({type: 'Applied', object: before, before});
    await applier.apply([at('3')], [before], false);
    asked = [];
    await applier.apply([at('9')], [live(service, '9', {generation: 1})], false);
    expect(asked).toEqual([]);
  });

  it('say what the API server refused', async () => {
    answers = () => {
      throw new Error('cannot create resource "services"');
    };
    const {blocked, error} = await applier.apply([service], [], false);
    expect(blocked).toEqual({
      type: 'Programmed',
      reason: 'ApplyFailed',
      message: 'cannot create resource "services"',
    });
    expect(error).toBeInstanceOf(Error);
  });

  it('in a namespace that goes are no failure: there is nothing to try again soon', async () => {
    answers = () => {
      throw new KubeError(
        'forbidden: unable to create new content in namespace team-a because it is being terminated',
        {
          status: 403,
        },
      );
    };
    const {blocked, error} = await applier.apply([service], [], false);
    expect(blocked).toMatchObject({type: 'Programmed', reason: 'Pending'});
    expect(error).toBeUndefined();
  });

  it('that are left over are removed', async () => {
    const {changes} = await applier.remove([live(child('HorizontalPodAutoscaler'), '5')]);
    expect(asked).toEqual(['remove HorizontalPodAutoscaler']);
    expect(changes).toMatchObject([
      {action: 'Removed', kind: 'HorizontalPodAutoscaler', namespace: 'team-a', name: 'models'},
    ]);
  });
});
