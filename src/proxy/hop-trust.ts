/**
 * Who the client is, and what the upstream is told of it. Without trusted hops
 * whatever a client says of itself in X-Forwarded-* and Forwarded is dropped.
 */
import type { Headers } from '../http/headers.ts';
import { SEEN_FORWARDED } from '../http/seen.ts';
import type { RequestHead } from '../http/message.ts';
import type { ServerStream } from '../http/stream.ts';
import type { PlanListener } from '../ir/plan.ts';

const NAMES = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port', 'forwarded'] as const;

export class HopTrust {
  readonly #plan: PlanListener;

  constructor(plan: PlanListener) {
    this.#plan = plan;
  }

  /** Sets the client's address and gives the lines that tell the upstream of it. */
  readClient(x: { clientIp: string; readonly request: RequestHead }, stream: ServerStream): string {
    const { request } = x;
    if ((stream.seen & SEEN_FORWARDED) !== 0) dropForwarded(request.headers);
    const { peerIp, scheme } = stream.facts;
    return `x-forwarded-for: ${peerIp}\r\nx-forwarded-proto: ${scheme}\r\nx-forwarded-host: ${request.authority}\r\nx-forwarded-port: ${this.#plan.publicPort}\r\n`;
  }
}

function dropForwarded(headers: Headers): void {
  for (const name of NAMES) headers.delete(name);
}
