/** A worker thread with a node that only remembers versions. Plans of some versions make it misbehave. */
import { parentPort } from 'node:worker_threads';
import type { Node } from '../../proxy/node-types.ts';
import { LineSender, serveNode } from '../serve-node.ts';
import { ServiceQuestions } from '../service-questions.ts';
import type { FromWorker } from '../worker-protocol.ts';

const post = (message: FromWorker): void => parentPort!.postMessage(message);
const lines = new LineSender(post);
const services = new ServiceQuestions(post);
let version: string | undefined;

const node: Node = {
  async apply(delta) {
    if (delta.to === 'throw') throw new Error('it does not like it');
    if (delta.to === 'die') setImmediate(() => void Promise.reject(new Error('a defect')));
    if (delta.to === 'exit') process.exit(3);
    if (delta.to === 'hang') for (;;);
    if (delta.to === 'die' || delta.to === 'exit') await new Promise(() => undefined);
    if (delta.to === 'ask') await Promise.all(['orders', 'orders', 'web'].map((name) => services.ask(name)));
    version = delta.to;
    post({ kind: 'log', level: 'info', message: 'applied', fields: { version } });
    return { kind: 'ack', version: delta.to, ports: {} };
  },
  rebind: async (refused) => refused ?? {},
  async drain() {
    // Not awaited: what the access log sends while it drains.
    void lines.send('last line\n').then(
      () => post({ kind: 'log', level: 'info', message: 'written', fields: {} }),
      () => post({ kind: 'log', level: 'info', message: 'lost', fields: {} }),
    );
  },
  order: (filter, order) => ({ kind: 'done', answer: { filter, order } }),
  ask({ topic, body }, asker) {
    asker.answer({ topic, body }, 0);
    if (topic === 'brief') asker.end({ kind: 'done' });
    return () => post({ kind: 'log', level: 'info', message: 'taken back', fields: { topic } });
  },
  stats: () => ({ version, connections: 0, exchanges: 0, endpoints: {}, used: {}, failing: [] }),
};

serveNode(parentPort!, { node, lines, services, measure: () => undefined, rotateTicketKeys: () => undefined });
