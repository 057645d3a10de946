import {beforeEach, describe, expect, it} from '@jest/globals';
import type {KubeObject} from '../../kube/objects.ts';
import {createFakeClock, type FakeClock} from '../../test/fake-clock.ts';
import {modelGateway} from '../../test/objects.ts';
import {childMetadata} from '../plan/children/child-metadata.ts';
import type {Child} from '../plan/fleet.ts';
import {createApplier, type Applier, type ApplyOutcome} from './apply.ts';
import type {Applied} from './writer.ts';

const service = (type = 'ClusterIP'): Child => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: childMetadata(modelGateway({uid: 'gateway-1'})),
  spec: {type},
});

const sameSpec = (a: KubeObject | Child, b: KubeObject | Child): boolean =>
  JSON.stringify(a['spec']) === JSON.stringify(b['spec']);

describe('a child that is written again', () => {
  let clock: FakeClock;
  /** As the API server has it, and as its watch has shown it. */
  let object: KubeObject | undefined;
  let shown: KubeObject | undefined;
  let writes: number;
  let answer: (child: Child) => Applied;
  let version: number;
  let applier: Applier;

  const store = (child: KubeObject | Child): KubeObject => {
    version += 1;
    object = {...child, metadata: {...child.metadata, uid: 'service-1', resourceVersion: String(version)}};
    return object;
  };

  beforeEach(() => {
    clock = createFakeClock();
    [object, shown, writes, version] = [undefined, undefined, 0, 0];
    const writer: Parameters<typeof createApplier>[0] = {
      apply(child) {
        writes += 1;
        return Promise.resolve(answer(child));
      },
      remove: () => Promise.resolve(),
    };
    answer = (child) => {
      const before = object;
      if (before === undefined) return {type: 'Created', object: store(child)};
      // What a writer knows of it is what the watch has shown, if there is anything.
      return {type: 'Applied', object: sameSpec(before, child) ? before : store(child), before: shown ?? before};
    };
    applier = createApplier(writer, clock);
  });

  const pass = (child = service(), force = false): Promise<ApplyOutcome> =>
    applier.apply([child], shown === undefined ? [] : [shown], force);
  const editBySomebody = (): void => {
    shown = store(service('NodePort'));
  };
  const restore = async (): Promise<ApplyOutcome> => {
    editBySomebody();
    const outcome = await pass();
    shown = object;
    return outcome;
  };
  const told = ({changes}: ApplyOutcome): string[] => changes.map(({action, why}) => `${action}: ${why}`);

  it('says why: it was not there, the gateway is different, somebody else had changed it', async () => {
    expect(told(await pass())).toEqual(['Created: it was not there']);
    shown = object;
    expect(told(await pass(service('LoadBalancer')))).toEqual(['Updated: as the gateway has it now']);
    await pass();
    expect(told(await restore())).toEqual(['Restored: somebody else had changed it']);
  });

  it('is told of also if it then has the very version of before, as with a label that is back', async () => {
    const labelled = (team: string): KubeObject => {
      version += 1;
      const {metadata} = service();
      const more = {uid: 'service-1', generation: 1, resourceVersion: String(version), labels: {team}};
      return {...service(), metadata: {...metadata, ...more}};
    };
    const flip = async (): Promise<string[]> => {
      const before = labelled('theirs');
      answer = () => ({type: 'Applied', object: labelled('ours'), before});
      return told(await applier.apply([service()], [before], false));
    };
    await flip();
    expect(await flip()).toEqual(['Restored: somebody else had changed it']);
    expect(await flip()).toEqual(['Restored: somebody else had changed it']);
  });

  it('for the first time by this operator says that it was another, whoever made it so', async () => {
    editBySomebody();
    expect(told(await pass(service(), true))).toEqual(['Updated: it was not as this operator makes it']);
  });

  it('though nothing had changed it is not told of, however old what the watch has shown is', async () => {
    shown = store(service());
    expect(told(await pass(service(), true))).toEqual([]);
    const old = shown;
    await pass(service('LoadBalancer'));
    await pass();
    shown = {...old, metadata: {...old.metadata, resourceVersion: '2'}};
    await pass();
    expect(writes).toBe(3); // the watch is about to show the last one
    await clock.advance(5_000);
    expect(told(await pass())).toEqual([]);
    expect(writes).toBe(4);
  });

  it('is made again soon when it has gone before a watch has shown it', async () => {
    const {againAfterMs} = await pass();
    expect(againAfterMs).toBe(5_000);
    object = undefined;
    await clock.advance(againAfterMs - 1);
    expect((await pass()).againAfterMs).toBe(1);
    expect(writes).toBe(1);
    await clock.advance(1);
    expect(told(await pass())).toEqual(['Created: it was not there']);
  });

  it('is looked for ever more rarely while a broken watch does not show it', async () => {
    const pauses: number[] = [];
    for (let count = 0; count < 8; count += 1) {
      await pass();
      const {againAfterMs} = await pass();
      pauses.push(againAfterMs / 1_000);
      await clock.advance(againAfterMs);
    }
    expect(pauses).toEqual([5, 10, 20, 40, 80, 160, 300, 300]);
    expect(writes).toBe(8);
    shown = object;
    expect(await pass()).toMatchObject({changes: [], againAfterMs: Infinity});
  });

  it('is put right at once a few times, then ever later while somebody keeps changing it, which is told once', async () => {
    await pass();
    shown = object;
    const pauses: number[] = [];
    const contested: number[] = [];
    for (let count = 1; count <= 13; count += 1) {
      let outcome = await restore();
      if (told(outcome).length === 0) {
        pauses.push(outcome.againAfterMs / 1_000);
        await clock.advance(outcome.againAfterMs);
        outcome = await pass();
        shown = object;
      }
      expect(told(outcome)).toEqual(['Restored: somebody else had changed it']);
      if (outcome.contested.length > 0) contested.push(count);
    }
    expect(pauses).toEqual([10, 20, 40, 80, 160, 300, 300, 300]);
    expect(contested).toEqual([5]);
  });

  it('is put right at once again when it was left in peace for a while', async () => {
    await pass();
    shown = object;
    for (let count = 0; count < 5; count += 1) await restore();
    await clock.advance(600_000);
    for (let count = 0; count < 5; count += 1) expect(told(await restore())).toHaveLength(1);
    expect(told(await restore())).toEqual([]);
  });

  it('does not wait while it is contested if the gateway wants something new', async () => {
    await pass();
    shown = object;
    for (let count = 0; count < 5; count += 1) await restore();
    editBySomebody();
    expect(told(await pass())).toEqual([]);
    expect(told(await pass(service('LoadBalancer')))).toEqual(['Updated: as the gateway has it now']);
  });
});
