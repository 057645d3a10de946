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
    answers = (wanted, known) => ({type: known === undefined ? 'Created' : 'Applied', object: live(wanted, '5')});
    applier = createApplier(writer);
  });

  it('are made in order, and told of', async () => {
    const {changes, blocked} = await applier.apply([child('Role'), service], [], false);
    expect(asked).toEqual(['create Role', 'create Service']);
    expect(blocked).toBeUndefined();
    expect(changes).toEqual([
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
    answers = (wanted) => ({type: 'Applied', object: live(wanted, '11', {generation: 3})});
    await applier.apply([deployment], [live(deployment, '10', {generation: 2})], false);
    expect(asked).toEqual(['apply Deployment']);
  });

  it('are told of only if something changed', async () => {
    const {changes} = await applier.apply([service], [live(service, '5')], false);
    expect(changes).toEqual([]);
    answers = (wanted) => ({type: 'Applied', object: live(wanted, '8')});
    const later = await applier.apply([child('Service', {type: 'NodePort'})], [live(service, '5')], false);
    expect(later.changes).toEqual([{action: 'Updated', kind: 'Service', namespace: 'team-a', name: 'models'}]);
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
    await applier.apply([at('3')], [live(service, '3', {generation: 1})], false);
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
    expect(changes).toEqual([
      {action: 'Removed', kind: 'HorizontalPodAutoscaler', namespace: 'team-a', name: 'models'},
    ]);
  });
});
