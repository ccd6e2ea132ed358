/**
 * WebSockets and server-sent events as a browser has them, over HTTP/1.1 and HTTP/2: one page, served through the
 * gateway, tries everything and reports what it saw. The WebSocket client of Node.js runs the same script.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { acceptOf } from '../src/http/ws/handshake.ts';
import { OPCODES } from '../src/http/ws/testing/frames.ts';
import { startGateway, type TestGateway } from '../src/main/testing.ts';
import { makeCertificate } from '../src/net/testing/certificates.ts';
import { WsPeer } from '../src/proxy/testing/web-sockets.ts';
import { inChromium } from './client/chromium.ts';
import {
  gateway as gatewayManifest,
  gatewayClass,
  type Manifest,
  prefixRule,
  service,
  tlsSecret,
} from './client/manifests.ts';

/** Runs in the page and in Node.js: talks, is left alone until the gateway says so, and tells what it saw. */
async function script(origin: string): Promise<Seen> {
  const talk = new WebSocket(`${origin.replace(/^http/, 'ws')}/talk`, ['chat.v2', 'chat.v1']);
  const lengths: number[] = [];
  talk.addEventListener('open', () => {
    talk.send('hello');
    talk.send('x'.repeat(1_048_576));
    talk.send(new Uint8Array(0));
  });
  talk.addEventListener('message', ({ data }) => {
    lengths.push(typeof data === 'string' ? data.length : -1);
    if (lengths.length === 3) talk.close(4_000, 'bye');
  });
  const closed = (socket: WebSocket): Promise<Closed> =>
    new Promise((resolve) => {
      socket.addEventListener('close', ({ code, reason, wasClean }) => resolve({ code, reason, wasClean }));
    });
  const ended = await closed(talk);
  const left = await closed(new WebSocket(`${origin.replace(/^http/, 'ws')}/quiet`));
  return { protocol: talk.protocol, lengths, ended, left };
}

interface Closed {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
}

interface Seen {
  readonly protocol: string;
  readonly lengths: readonly number[];
  readonly ended: Closed;
  readonly left: Closed;
}

const WANT: Seen = {
  protocol: 'chat.v1',
  lengths: [5, 1_048_576, -1],
  ended: { code: 4_000, reason: 'bye', wasClean: true },
  left: { code: 1_001, reason: 'idle for too long', wasClean: true },
};

const PAGE = `<!doctype html><script>
  const script = ${script.toString()};
  const events = new Promise((resolve) => {
    const seen = [];
    const source = new EventSource('/events');
    source.onmessage = ({ data }) => seen.push(data) === 3 && (source.close(), resolve(seen));
  });
  const look = async () => {
    const report = { ...(await script(location.origin)), events: await events };
    report.page = performance.getEntriesByType('navigation')[0].nextHopProtocol;
    return report;
  };
  look()
    .catch((error) => ({ error: String(error) }))
    .then((report) => fetch('/report', { method: 'POST', body: JSON.stringify(report) }));
</script>`;

let gateway: TestGateway;
let reported: ((text: string) => void) | undefined;
/** How the gateway names, in Via, what the clients of WebSockets speak. */
const spoken: string[] = [];
/** Paths that were asked of the upstream. */
const asked: string[] = [];
const upstream = http.createServer((request, answer) => void serve(request, answer));
const sockets = new Set<Socket>();

async function serve(request: http.IncomingMessage, answer: http.ServerResponse): Promise<void> {
  asked.push(request.url!);
  if (request.url === '/events') {
    answer.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const data of ['one', 'two', 'three']) {
      answer.write(`data: ${data}\n\n`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } else if (request.url === '/report') {
    let text = '';
    for await (const piece of request) text += String(piece);
    answer.end();
    reported?.(text);
  } else answer.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
}

async function echo(peer: WsPeer): Promise<void> {
  for (;;) {
    const { opcode, fin, payload } = await peer.next();
    if (opcode === OPCODES.ping) peer.send(OPCODES.pong, payload);
    else peer.send(opcode, payload, { fin });
    if (opcode === OPCODES.close) return peer.end();
  }
}

before(async () => {
  upstream.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  upstream.on('upgrade', (request, socket: Socket) => {
    spoken.push(request.headers.via ?? '');
    const protocol =
      request.headers['sec-websocket-protocol'] === undefined ? '' : 'Sec-WebSocket-Protocol: chat.v1\r\n';
    const accept = acceptOf(request.headers['sec-websocket-key']!);
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${protocol}Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    echo(new WsPeer(socket, request.headers, 'server')).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const { port } = upstream.address() as AddressInfo;
  const { certificatePem, privateKeyPem } = makeCertificate({ hosts: ['localhost', '127.0.0.1'] });
  const versions = (name: string, list: readonly string[]): Manifest => ({
    apiVersion: 'fourways.io/v1alpha1',
    kind: 'Policy',
    metadata: { name, namespace: 'default' },
    spec: { targetRefs: [{ kind: 'Gateway', name }], listener: { http: { versions: list } } },
  });
  const manifests: readonly Manifest[] = [
    gatewayClass(),
    gatewayManifest({ name: 'plain', port: 8080 }),
    gatewayManifest({ name: 'old', port: 8441, tlsSecret: 'tls' }),
    gatewayManifest({ name: 'new', port: 8442, tlsSecret: 'tls' }),
    tlsSecret('tls', { certificate: certificatePem, key: privateKeyPem }),
    versions('old', ['http/1.1']),
    versions('new', ['h2', 'http/1.1']),
    ...service('web', [{ host: '127.0.0.1', port }]),
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        parentRefs: [{ name: 'plain' }, { name: 'old' }, { name: 'new' }],
        rules: [prefixRule('/quiet', 'web', { name: 'quiet' }), prefixRule('/', 'web')],
      },
    },
    {
      apiVersion: 'fourways.io/v1alpha1',
      kind: 'Policy',
      metadata: { name: 'quiet', namespace: 'default' },
      spec: { targetRefs: [{ kind: 'HTTPRoute', name: 'web', sectionName: 'quiet' }], tunnel: { idle: '300ms' } },
    },
  ];
  gateway = await startGateway({ config: manifests.map((manifest) => JSON.stringify(manifest)).join('\n---\n') });
});

after(async () => {
  await gateway?.close();
  for (const socket of sockets) socket.destroy();
  upstream.close();
});

test('the WebSocket client of Node.js', async () => {
  spoken.length = 0;
  assert.deepEqual(await script(gateway.url(8080)), WANT);
  assert.deepEqual(spoken, ['1.1 fourways', '1.1 fourways']);
});

for (const [what, port, page, via] of [
  ['HTTP/1.1', 8441, 'http/1.1', '1.1 fourways'],
  ['HTTP/2', 8442, 'h2', '2.0 fourways'],
] as const) {
  test(`Chromium over ${what}: WebSockets and server-sent events`, async () => {
    spoken.length = asked.length = 0;
    const report = new Promise<string>((resolve) => (reported = resolve));
    const url = gateway.url(port).replace('http:', 'https:');
    const seen = JSON.parse(await inChromium(`${url}/`, report, asked)) as object;
    assert.deepEqual(seen, { ...WANT, events: ['one', 'two', 'three'], page });
    assert.deepEqual(spoken, [via, via]);
  });
}
