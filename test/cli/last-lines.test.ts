/** The log is written once per turn of the event loop: a process that ends in the middle of one has still said all. */
import {afterAll, expect, it} from '@jest/globals';
import {chatBody, keeper, post, startUpstream} from '../proxy/harness.ts';
import {until} from '../until.ts';
import {createFolder, routeFile, startServe} from './serve-process.ts';

const {keep, closeAll} = keeper();
afterAll(closeAll);

it('a process that is told to stop twice at once has logged the first time', async () => {
  const upstream = await keep(startUpstream());
  upstream.behave({do: 'hang'});
  const files = await keep(Promise.resolve(createFolder()));
  const serving = await keep(startServe(files.write('route.yaml', routeFile(upstream.url))));
  const asked = post(serving.url, chatBody()).catch(() => {}); // runs, so that only the second signal ends the process
  await until(() => upstream.requests().length === 1, 'the backend to be asked');
  serving.process.kill('SIGSTOP'); // so that it finds both of them in the same turn
  serving.process.kill('SIGTERM');
  serving.process.kill('SIGINT');
  serving.process.kill('SIGCONT');
  await until(() => serving.exitCode() !== undefined, 'the process to end');
  expect(serving.exitCode()).toBe(1);
  await serving.untilSays('draining');
  await asked;
}, 30_000);
