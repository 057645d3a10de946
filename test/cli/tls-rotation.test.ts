import {afterEach, describe, expect, it} from '@jest/globals';
import {createCa, createCertificate} from '../proxy/certificates.ts';
import {chatBody, keeper, post} from '../proxy/harness.ts';
import {startTlsBackend} from '../proxy/tls-backend.ts';
import {until} from '../until.ts';
import {createFolder, startServe} from './serve-process.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const route = (url: string): string => `apiVersion: modelroute.dev/v1alpha1
kind: ModelRoute
metadata: {name: chat}
spec:
  backends:
  - name: local
    url: "${url}"
    tls: {caRef: {name: ca}}
`;

const secretFile = (pem: string): string => `---
apiVersion: v1
kind: Secret
metadata: {name: ca}
data: {ca.crt: ${Buffer.from(pem).toString('base64')}}
`;

describe('modelroute serve, when a Secret in its files changes', () => {
  it('trusts the new CA within a second; one that is no certificate leaves out its backend and is named', async () => {
    const [oldCa, newCa] = [createCa('Old CA'), createCa('New CA')];
    const certificate = createCertificate('server', {issuer: newCa, names: ['127.0.0.1']});
    const backend = await keep(startTlsBackend({certificate}));
    const files = await keep(Promise.resolve(createFolder()));
    files.write('secret.yaml', secretFile(oldCa.cert));
    files.write('route.yaml', route(backend.url));
    const serving = await keep(startServe(files.path('.')));
    const status = async (): Promise<number> => (await post(serving.url, chatBody())).status;
    expect(await status()).toBe(502);

    files.write('secret.yaml', secretFile(newCa.cert));
    await until(async () => (await status()) === 200, 'the new CA to be trusted', 2_000);

    files.write('secret.yaml', secretFile('hidden'));
    await until(async () => (await status()) === 503, 'the backend to be left out', 2_000);
    await serving.untilSays('config loaded', 2);
    const told = serving.log.filter(({level}) => level === 'error').map(({message}) => message);
    expect(told).toEqual([
      expect.stringMatching(
        /route\.yaml:8: error: spec\.backends\[0\]\.tls\.caRef\.key: key "ca\.crt" of Secret default\/ca holds no certificate/,
      ),
    ]);
    expect(JSON.stringify(serving.log)).not.toContain('hidden');

    files.write('secret.yaml', secretFile(oldCa.cert + newCa.cert));
    await until(async () => (await status()) === 200, 'both CAs to be trusted', 2_000);
  });
});
