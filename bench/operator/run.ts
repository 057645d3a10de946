/** One measurement in a process of its own, for main.ts: `run.ts NAME SETTINGS`. Sends its outcome to its parent. */
import {killAll} from '../children.ts';
import type {Settings} from './measurement.ts';
import {measurements} from './measurements.ts';

const [name, settings = ''] = process.argv.slice(2);
const measurement = measurements.find((each) => each.name === name);
if (measurement === undefined) throw new Error(`bug: there is no measurement ${name}`);

process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130));
process.on('disconnect', () => process.exit(130));
const measure = await measurement.load();
const outcome = await measure(JSON.parse(settings) as Settings);
process.send?.(outcome, () => process.exit());
