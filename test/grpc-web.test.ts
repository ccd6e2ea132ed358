/** gRPC-Web from a real browser: a page of another origin calls through the real program, by CORS. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startService } from '../examples/services/service.ts';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import { gateway, gatewayClass, type Manifest, service, writeManifests } from './client/manifests.ts';

/** Runs in the browser: each call in both forms; what came of it is the text of the page. */
const SCRIPT = String.raw`
const GATEWAY = new URLSearchParams(location.search).get('gateway');
const frame = Uint8Array.of(0, 0, 0, 0, 4, 10, 2, 104, 105);

async function call(method, type) {
  const isText = type.includes('text');
  const answer = await fetch(GATEWAY + '/shop.Cart/' + method, {
    method: 'POST',
    headers: { 'content-type': type, 'x-grpc-web': '1', 'x-user-agent': 'page/1' },
    body: isText ? btoa(String.fromCharCode(...frame)) : frame,
  });
  let bytes = new Uint8Array(await answer.arrayBuffer());
  if (isText) {
    const pieces = new TextDecoder().decode(bytes).match(/[^=]+=*/g) ?? [];
    bytes = Uint8Array.from(pieces.map(atob).join(''), (char) => char.charCodeAt(0));
  }
  const parts = [];
  for (let at = 0; at < bytes.length; ) {
    const length = new DataView(bytes.buffer).getUint32(at + 1);
    const part = new TextDecoder().decode(bytes.subarray(at + 5, at + 5 + length));
    parts.push(bytes[at] === 128 ? part.trim().replace(/\r\n/g, ' & ') : part.slice(2));
    at += 5 + length;
  }
  return [answer.status, answer.headers.get('content-type'), ...parts].join(' | ');
}

async function main() {
  const lines = [];
  for (const type of ['application/grpc-web+proto', 'application/grpc-web-text']) {
    for (const method of ['Add', 'List', 'Fail', 'None/Such']) {
      lines.push(method + ' | ' + (await call(method, type).catch((error) => 'failed: ' + error)));
    }
  }
  document.body.textContent = lines.join('\n');
}
main();
`;

const API = 'gateway.networking.k8s.io/v1';

function manifests(origin: string): Manifest[] {
  const matches = [{ method: { service: 'shop.Cart' } }];
  return [
    {
      apiVersion: API,
      kind: 'GRPCRoute',
      metadata: { name: 'cart', namespace: 'default' },
      spec: { parentRefs: [{ name: 'gw' }], rules: [{ matches, backendRefs: [{ name: 'cart', port: 80 }] }] },
    },
    {
      apiVersion: 'fourways.io/v1alpha1',
      kind: 'Policy',
      metadata: { name: 'pages', namespace: 'default' },
      spec: {
        targetRefs: [{ kind: 'GRPCRoute', name: 'cart' }],
        filters: {
          cors: {
            allowOrigins: [origin],
            allowMethods: ['POST'],
            allowHeaders: ['content-type', 'x-grpc-web', 'x-user-agent'],
            exposeHeaders: ['grpc-status', 'grpc-message'],
          },
        },
      },
    },
  ];
}

/** The text of a page after its script has run. */
async function render(url: string, profile: string): Promise<string> {
  // Without a sandbox, because tests may run as root; the page is ours.
  const args = ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${profile}`];
  const { stdout } = await promisify(execFile)(
    'chromium',
    [...args, '--virtual-time-budget=10000', '--timeout=20000', '--dump-dom', url],
    { timeout: 60_000, env: { ...process.env, HOME: profile } },
  );
  return /<body[^>]*>([^]*?)<\/body>/.exec(stdout)?.[1] ?? stdout;
}

test('grpc-web: a page in a browser calls from another origin, in both forms', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'fourways-grpc-web-'));
  const cart = await startService('cart:0:grpc');
  const page = http.createServer((_, answer) =>
    answer
      .writeHead(200, { 'content-type': 'text/html' })
      .end(
        `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body></body><script>${SCRIPT}</script>`,
      ),
  );
  await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(page.address() as AddressInfo).port}`;
  try {
    const port = await freePort(DOOR_HOST);
    writeManifests(join(dir, 'config'), 'all.yaml', [
      gatewayClass(),
      gateway({ port }),
      ...service('cart', [{ host: '127.0.0.1', port: cart.port }]),
      ...manifests(origin),
    ]);
    await using _program = await Fourways.start({ config: join(dir, 'config'), workers: 1 });
    const text = await render(`${origin}/?gateway=http://${DOOR_HOST}:${port}`, join(dir, 'profile'));
    const want = ['application/grpc-web+proto', 'application/grpc-web-text+proto'].flatMap((type) => [
      `Add | 200 | ${type} | cart: hi | grpc-status: 0`,
      `List | 200 | ${type} | cart: hi | cart: hi | cart: hi | grpc-status: 0`,
      `Fail | 200 | ${type.replace('+proto', '')}`,
      'None/Such',
    ]);
    const got = text.replaceAll('&amp;', '&').split('\n');
    assert.equal(got.length, want.length, text);
    for (const [i, line] of want.entries()) assert.ok(got[i]!.startsWith(line), `${got[i]}\nis not ${line}`);
    for (const i of [2, 6]) assert.match(got[i]!, /grpc-status: 5 & grpc-message: no such cart$/);
    for (const i of [3, 7]) assert.match(got[i]!, /grpc-status: 12/);
  } finally {
    page.close();
    page.closeAllConnections();
    await cart.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
