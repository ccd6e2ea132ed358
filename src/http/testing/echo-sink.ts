/** A request sink for tests: answers each request with what it read of it. */
import type { Fault } from '../../base/fault.ts';
import { Headers } from '../headers.ts';
import type { ResponseHead } from '../message.ts';
import type { RequestSink, ServerStream, ServerStreamEvents } from '../stream.ts';

/** One line per event, so that a test compares lists. */
export class EchoSink implements RequestSink {
  readonly events: string[] = [];

  onRequest(stream: ServerStream): ServerStreamEvents {
    const { method, host, path, query } = stream.request;
    this.events.push(`${method} ${host} ${path}${query}`);
    const pieces: Buffer[] = [];
    stream.sendContinue();
    return {
      onRequestBody: (bytes) => pieces.push(Buffer.from(bytes)),
      onRequestEnd: (trailers) => {
        const body = Buffer.concat(pieces);
        this.events.push(`body ${body.toString('latin1')}${trailers === undefined ? '' : ` +${trailers.toLines()}`}`);
        const headers = Headers.of([['x-path', path]]);
        stream.sendHead({ status: 200, reason: 'OK', headers, bodyLength: body.length });
        if (body.length > 0) stream.sendBody(body);
        stream.sendEnd(undefined);
      },
      onRequestFault: (fault) => this.onRefused(stream, fault),
      onClientGone: () => this.events.push('gone'),
      onClientWritable: () => undefined,
      onRequestIdle: () => stream.flush(),
    };
  }

  onRefused(stream: ServerStream, fault: Fault): void {
    this.events.push(`refused ${fault.code}`);
    const head: ResponseHead = {
      status: fault.kind.status,
      reason: 'Refused',
      headers: new Headers(),
      bodyLength: 0,
    };
    stream.closeAfterAnswer();
    stream.sendHead(head);
    stream.sendEnd(undefined);
  }
}
