/**
 * The entry of a worker thread: one proxy, asked over the port that the thread
 * was started with. What is imported here is loaded once for each core, so it is
 * the proxy and what it needs, and nothing that reads configuration.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { forwardingLog } from '../base/log.ts';
import { LoopFigures } from './loop-figures.ts';
import { makeNode } from './make-node.ts';
import { LineSender, serveNode } from './serve-node.ts';
import { ServiceQuestions } from './service-questions.ts';
import { collectSoon } from './spare-memory.ts';
import type { FromWorker, WorkerSettings } from './worker-protocol.ts';

function run(port: MessagePort, settings: WorkerSettings): void {
  const post = (message: FromWorker): void => port.postMessage(message);
  const lines = new LineSender(post);
  const services = new ServiceQuestions(post);
  const { node, metrics, ticketKeys } = makeNode(settings, {
    log: forwardingLog(settings.logLevel, (level, message, fields = {}) =>
      post({ kind: 'log', level, message, fields }),
    ),
    announce: (event) => post({ kind: 'series', event }),
    writeLines: (text) => lines.send(text),
    askForService: settings.asksForServices ? (name) => services.ask(name) : undefined,
  });
  const figures = new LoopFigures(systemClock, metrics, String(settings.worker));
  collectSoon(() => node.stats().exchanges > 0);
  serveNode(port, {
    node,
    lines,
    services,
    measure: () => figures.measure(),
    rotateTicketKeys: (bytes) => ticketKeys.rotate(bytes),
  });
}

// A thread always has a port.
run(parentPort!, workerData as WorkerSettings);
