/** The benchmark of the operator: that it runs, judges by every round, and notices what must not be. */
import {execFile} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {afterAll, beforeEach, describe, expect, it} from '@jest/globals';
import {createLedger, type Ledger} from '../../bench/operator/ledger.ts';
import {full} from '../../bench/operator/measurement.ts';
import {whyNoNetwork} from '../../bench/operator/network.ts';
import {changedSince, isEvent} from '../../bench/operator/quiet.ts';
import {resultsOf} from '../../bench/operator/rows.ts';
import {findAssets} from '../api-server/assets.ts';
import {modelRoute} from '../objects.ts';

const root = join(import.meta.dirname, '../..');
const main = join(root, 'bench/operator/main.ts');
const run = promisify(execFile);

describe('a limit', () => {
  const verdict = (values: number[]): string | undefined =>
    resultsOf({scale: {metrics: {peak: values}, faults: []}}, full)[0]?.verdict;

  it('is met if every round meets it', () => {
    expect(verdict([150, 199, 160])).toBe('met');
    expect(verdict([150, 200, 160])).toBe('not met');
  });

  it('is not judged without a number', () => {
    expect(resultsOf({scale: {metrics: {peak: [NaN]}, faults: ['scale has broken off']}}, full)).toEqual([]);
  });
});

describe('while the leader is killed', () => {
  const config = (generation: number, atUs = 0) => ({
    namespace: 'team-a',
    hash: `hash-${generation}-${atUs}`,
    atUs,
    routes: new Map([['chat', generation]]),
  });
  const change = (generation: number, sentUs = 0) => ({route: 'team-a/chat', generation, sentUs});
  const route = (status: object) => ({...modelRoute({generation: 1}), kind: 'ModelRoute', status}) as never; // as it is stored
  let ledger: Ledger;
  beforeEach(() => {
    ledger = createLedger();
  });

  it('a change is lost as long as the config has an older one', () => {
    ledger.changes.push(change(2), change(3));
    ledger.published(config(2));
    expect(ledger.lost()).toBe(1);
    ledger.published(config(3));
    expect(ledger.lost()).toBe(0);
  });

  it('a route that goes back is noticed', () => {
    ledger.published(config(3));
    ledger.published(config(2));
    expect(ledger.backwards).toEqual(['team-a/chat went back from 3 to 2']);
  });

  it('a write that changes nothing is noticed, be it of a config or of a status', () => {
    ledger.published(config(3));
    ledger.published(config(3));
    ledger.written(route({url: 'a'}));
    ledger.written(route({url: 'b'}));
    expect(ledger.twice).toEqual(['the config of team-a was written again as it was']);
    ledger.written(route({url: 'b'}));
    expect(ledger.twice).toHaveLength(2);
  });

  it('what counts is the first change that was sent after it', () => {
    ledger.changes.push(change(2, 10), change(3, 30));
    ledger.published(config(2, 25)); // sent before
    expect(ledger.publishedAfter(20)).toBeUndefined();
    ledger.published(config(3, 40));
    expect(ledger.publishedAfter(20)).toBe(40);
  });
});

it('what is made, changed or gone is a change, and Events are told apart', () => {
  const before = new Map([
    ['Secret a/gone', '1'],
    ['Secret a/same', '2'],
    ['Secret a/changed', '3'],
  ]);
  const after = new Map([
    ['Secret a/same', '2'],
    ['Secret a/changed', '4'],
    ['Event a/new', '5'],
  ]);
  const changed = changedSince(before, after);
  expect(changed.sort()).toEqual(['Event a/new', 'Secret a/changed', 'Secret a/gone']);
  expect(changed.filter(isEvent)).toEqual(['Event a/new']);
});

describe('make bench-operator', () => {
  const folder = mkdtempSync(join(tmpdir(), 'modelroute-bench-operator-test-'));
  afterAll(() => rmSync(folder, {recursive: true}));
  const canMeasure =
    findAssets((line) => process.stderr.write(line)) !== undefined &&
    process.platform === 'linux' &&
    whyNoNetwork() === undefined;

  it('says what can be chosen', async () => {
    const {stdout} = await run(process.execPath, [main, '--help']);
    expect(stdout).toContain('of propagation,scale,hand-over,cluster');
    const wrong = run(process.execPath, [main, '--only', 'scales']);
    await expect(wrong).rejects.toMatchObject({
      stderr: expect.stringContaining('There is no "scales", only propagation'),
    });
  }, 30_000);

  (canMeasure ? it : it.skip)(
    'measures, writes JSON, and its own part of the results',
    async () => {
      const [json, results] = [join(folder, 'bench.json'), join(folder, 'RESULTS.md')];
      const marks = ['<!-- make bench-operator: begin -->', '<!-- make bench-operator: end -->'];
      writeFileSync(results, `# Mine\n\n${marks.join('\n\nold\n\n')}\n\nMy words.\n`);
      const what = ['--only', 'propagation', '--small', '--rounds', '1', '--anyway'];
      const where = ['--program', join(root, 'cli/main.ts'), '--json', json, '--results', results];
      const {stdout} = await run(process.execPath, [main, ...what, ...where]);
      expect(stdout).toMatch(/a route applied, until the last of 2 proxies has loaded it: p50, ms +\d/);
      const {outcomes} = JSON.parse(readFileSync(json, 'utf8')) as {
        outcomes: Record<string, {metrics: Record<string, number[]>; faults: string[]}>;
      };
      expect(outcomes['propagation']?.faults).toEqual([]);
      expect(
        Object.values(outcomes['propagation']?.metrics ?? {})
          .flat()
          .every((value) => value > 0),
      ).toBe(true);
      const written = readFileSync(results, 'utf8');
      expect(written).toMatch(/^# Mine\n[^]*\| … p99, ms +\| +\d+[^]*\nMy words\.\n$/);
      expect(written).not.toContain('old');
    },
    300_000,
  );
});
