/** nginx as people set it up in front of a model server: one worker, kept connections, streams not held back. */
import {spawnSync} from 'node:child_process';
import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {noHeaders, type PeerKind} from './peer.ts';

const config = (port: number, upstreamPort: number): string => `
daemon off; master_process off; pid nginx.pid; error_log stderr error;
worker_rlimit_nofile 20000;
events { worker_connections 8192; }
http {
  access_log off;
  client_max_body_size 32m; client_body_buffer_size 2m; keepalive_requests 1000000000;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  upstream models { server 127.0.0.1:${upstreamPort}; keepalive 1024; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://models; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`;

export const nginx: PeerKind = {
  name: 'nginx',
  isNode: false,
  missing: () => (spawnSync('nginx', ['-v']).error ? 'no nginx: apt-get install nginx-light' : undefined),
  command({port, upstreamPort, folder}) {
    const prefix = join(folder, 'nginx');
    mkdirSync(prefix, {recursive: true});
    writeFileSync(join(prefix, 'nginx.conf'), config(port, upstreamPort));
    return {file: 'nginx', args: ['-p', prefix, '-e', 'stderr', '-c', 'nginx.conf']};
  },
  headers: noHeaders,
};
